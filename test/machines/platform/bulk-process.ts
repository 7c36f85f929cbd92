/** A node with orders and bulks, to be killed by tests. Argument: the data directory; prints its URL. */
import { platform } from '../../../machines/platform/index.ts'
import { createGateway } from '../../../src/gateway/index.ts'
import { createNode, defineApp } from '../../../src/index.ts'
import { order } from './bulk-machines.ts'

const [dataDirectory = ''] = process.argv.slice(2)
const apps = [platform, defineApp({ name: 'shop', machines: [order] })]
const node = await createNode({ dataDirectory, apps })
const gateway = await createGateway({ node, port: 0 })
process.stdout.write(`${gateway.url}\n`)
