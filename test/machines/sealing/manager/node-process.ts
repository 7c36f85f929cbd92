/** A node with the manager, to be killed by tests. Arguments: its directory; prints where workers reach it. */
import { mkdirSync } from 'node:fs'
import { join } from 'node:path'
import { createGateway } from '../../../../src/gateway/index.ts'
import { createNode } from '../../../../src/index.ts'
import { managerApp } from './manager-app.ts'

const [directory = ''] = process.argv.slice(2)
mkdirSync(join(directory, 'long'), { recursive: true })
const node = await createNode({
  dataDirectory: join(directory, 'node'),
  apps: [managerApp(directory)],
})
const gateway = await createGateway({ node, port: 0, listeners: [{ app: 'sealing', port: 0 }] })
process.stdout.write(`${gateway.listeners[0]?.url}\n`)
