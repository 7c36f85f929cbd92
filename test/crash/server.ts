/** The process that is killed: a node with its gateway. Arguments: data directory, port. */
import { createGateway } from '../../src/gateway/index.ts'
import { createNode } from '../../src/index.ts'
import { crashApp } from './machines.ts'

const [dataDirectory = '', port = '0'] = process.argv.slice(2)
const node = await createNode({ dataDirectory, apps: [crashApp], worker: { slots: 4 } })
const gateway = await createGateway({ node, port: Number(port) })
process.stdout.write(`${gateway.url}\n`)
