/**
 * A node that hosts wards, in a process of its own, as a program starts one. Its argument: its name, its
 * data directory, the servers of NATS (none: it is alone), the file where its tasks say that they ran, and that of its log;
 * prints a line when it serves.
 */
import { appendFileSync } from 'node:fs'
import { createNode, openLog } from '../../src/index.ts'
import { wards } from './wards.ts'

export interface WardProcessSettings {
  name: string
  dataDirectory: string
  servers: readonly string[]
  ranFile: string
  logFile: string
}

const settings = JSON.parse(process.argv[2]!) as WardProcessSettings
const { name, dataDirectory, servers, ranFile, logFile } = settings
const node = await createNode({
  ...{ name, dataDirectory, apps: [wards(ranFile)] },
  ...(servers.length > 0 && { nats: { servers } }),
  log: openLog({ destination: { write: (line) => appendFileSync(logFile, line) } }),
})
process.stdout.write('serves\n')
process.once('SIGTERM', () => void node.stop().then(() => process.exit(0)))
