/** A node with the family `jobs`, to be killed by tests. Argument: the data directory; prints its URL. */
import { apps } from '../../../machines/index.ts'
import { createGateway } from '../../../src/gateway/index.ts'
import { createNode } from '../../../src/index.ts'

const [dataDirectory = ''] = process.argv.slice(2)
const node = await createNode({ dataDirectory, apps })
const gateway = await createGateway({ node, port: 0 })
process.stdout.write(`${gateway.url}\n`)
