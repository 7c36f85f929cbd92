/** A link that is cut in each of its ways, between a node that sends and a server that says it back. */
import { connect, createServer, type Server, type Socket } from 'node:net'
import { afterEach, beforeEach, expect, it } from 'vitest'
import { holds, until } from '../../waiting.ts'
import { Link } from './link.ts'

const TIME = { timeoutMs: 10_000 }
/** For what must not arrive. */
const SILENT = { forMs: 60 }

let server: Server
let link: Link
let served: string
const sockets: Socket[] = []

beforeEach(async () => {
  served = ''
  server = createServer((socket) => {
    sockets.push(socket)
    socket.on('error', () => {})
    socket.on('data', (bytes) => {
      served += bytes.toString()
      socket.write(bytes)
    })
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  link = await Link.open({ port: (server.address() as { port: number }).port })
})

afterEach(async () => {
  await link.close()
  for (const socket of sockets.splice(0)) socket.destroy()
  await new Promise((resolve) => server.close(resolve))
})

/** One who has said `a` and heard it. */
async function begun() {
  const node = { socket: connect(Number(new URL(link.url).port), '127.0.0.1'), heard: '' }
  sockets.push(node.socket)
  node.socket.on('error', () => {})
  node.socket.on('data', (bytes) => {
    node.heard += bytes.toString()
  })
  node.socket.write('a')
  await until(() => node.heard === 'a', TIME, 'an echo')
  return node
}

it('holds what is on its way to the server, and lets it pass in its order', async () => {
  const { socket } = await begun()
  link.cut('to-server')
  socket.write('b')
  await holds(() => served === 'a', SILENT, 'nothing reaches the server')
  socket.write('c')
  link.heal()
  await until(
    () => served === 'abc',
    TIME,
    () => `all of it: ${served}`,
  )
})

it('cuts one direction and leaves the other', async () => {
  const node = await begun()
  link.cut('to-node')
  node.socket.write('b')
  await until(() => served === 'ab', TIME, 'the server hears it')
  await holds(() => node.heard === 'a', SILENT, 'the node hears nothing')
  link.heal()
  await until(() => node.heard === 'ab', TIME, 'the node hears what was held')
})

it('swallows bytes without a word, and closes what has holes when it is healed', async () => {
  const { socket } = await begun()
  link.cut('both', 'swallow')
  socket.write('b')
  await holds(() => served === 'a' && !socket.destroyed, SILENT, 'it is open, and nothing passes')
  link.heal()
  await until(() => socket.destroyed, TIME, 'the connection is closed')
  await begun()
  expect(served).toBe('aa')
})

it('hides the end of one side while it is cut', async () => {
  const { socket } = await begun()
  link.cut('both')
  for (const other of sockets) if (other !== socket) other.destroy()
  await holds(() => !socket.destroyed, SILENT, 'the node does not see it')
  link.heal()
  await until(() => socket.destroyed, TIME, 'the node sees it')
})

it('refuses connections until it is healed', async () => {
  const { socket } = await begun()
  link.refuse()
  await until(() => socket.destroyed, TIME, 'the connection is closed')
  const refused = connect(Number(new URL(link.url).port), '127.0.0.1').on('error', () => {})
  await until(() => refused.destroyed, TIME, 'a new one is closed')
  link.heal()
  await begun()
})
