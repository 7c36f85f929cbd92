/**
 * A node with the families that ship with Troupe, to be stopped and killed by tests. Arguments: the data directory, and its options
 * as JSON; prints its URL.
 */
import './clock-ahead.ts'
import { apps } from '../../../machines/index.ts'
import { createGateway } from '../../../src/gateway/index.ts'
import { createNode } from '../../../src/index.ts'
import type { ChildOptions } from './node-child.ts'

const [dataDirectory = '', text = '{}'] = process.argv.slice(2)
const { port = 0, worker } = JSON.parse(text) as ChildOptions
const node = await createNode({ dataDirectory, apps, ...(worker ? { worker } : {}) })
const gateway = await createGateway({ node, port })
process.stdout.write(`${gateway.url}\n`)
process.once('SIGTERM', async () => {
  await gateway.close()
  await node.stop()
  process.exit(0)
})
