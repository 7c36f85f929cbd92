/**
 * What two hops cost without a store: a process that reads shards from a file and sends them, and one that
 * collects the shards of a blob from several such and passes them on, over bare sockets. Decides: that nothing is done
 * that any reader over a network would not do: no protocol (a byte asks for a shard or for a blob), nothing
 * looked up, every buffer used again.
 *
 *   shards PORT BYTES_OF_A_SHARD SHARDS_IN_FILE FILE
 *   relay PORT BYTES_OF_A_SHARD SHARDS_OF_A_BLOB PORT…
 */
import { open } from 'node:fs/promises'
import { createServer, type Socket } from 'node:net'
import { crc32 } from 'node:zlib'
import { BareReader } from './bare-reader.ts'

const [role = '', port = '', shardBytes = '', count = '', ...more] = process.argv.slice(2)
const BYTES = Number(shardBytes)
const COUNT = Number(count)
/** Buffers that nobody uses. */
const free: Buffer[] = []

function serve(answer: (socket: Socket) => Promise<void>): void {
  const server = createServer({ noDelay: true }, (socket) => {
    socket.on('error', () => socket.destroy())
    socket.on('data', (asked) => {
      // A sender that does not listen yet is asked again by whoever asked.
      for (let n = 0; n < asked.length; n++) answer(socket).catch(() => socket.destroy())
    })
  })
  server.listen(Number(port), '127.0.0.1')
}

function send(socket: Socket, bytes: Buffer): void {
  socket.write(bytes, () => free.push(bytes))
}

async function shards(path: string): Promise<void> {
  const file = await open(path, 'r')
  serve(async (socket) => {
    const bytes = free.pop() ?? Buffer.alloc(BYTES)
    await file.read(bytes, 0, BYTES, BYTES * Math.floor(Math.random() * COUNT))
    crc32(bytes)
    send(socket, bytes)
  })
}

function relay(ports: readonly number[]): void {
  const idle = ports.map((): BareReader[] => [])
  const shardOf = async (unit: number): Promise<Buffer> => {
    const from = unit % ports.length
    const reader = idle[from]?.pop() ?? new BareReader(ports[from] ?? 0)
    const shard = free.pop() ?? Buffer.alloc(BYTES)
    await reader.read(BYTES, shard)
    idle[from]?.push(reader)
    return shard
  }
  serve(async (socket) => {
    const blob = await Promise.all(Array.from({ length: COUNT }, (_, unit) => shardOf(unit)))
    socket.cork()
    for (const shard of blob) send(socket, shard)
    socket.uncork()
  })
}

process.once('SIGTERM', () => process.exit(0))
if (role === 'shards') await shards(more[0] ?? '')
else relay(more.map(Number))
