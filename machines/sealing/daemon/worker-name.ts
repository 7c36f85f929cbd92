/**
 * What a worker without a configured name is called. Decides: the address that it reaches its manager
 * from, as the old workers have it, but remembered: another address on another day must not make its
 * threads those of somebody else.
 */
import { createSocket } from 'node:dgram'
import { mkdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { TroupeError } from '../../../src/index.ts'
import { isMissing, replaceFile } from '../stores/index.ts'
import type { Place } from './places.ts'

const NAME_FILE = 'worker-name'
const NAME = /^[0-9A-Za-z][\w.-]{0,47}$/
/** Nothing is sent there; any port tells the way. */
const ANY_PORT = 1_789

/** @throws TroupeError `store-failed` when the name cannot be kept, or the one that was kept cannot be read */
export async function workerName(
  configured: string | null,
  data: string,
  manager: Place,
): Promise<string> {
  if (configured !== null) return configured
  const path = join(data, NAME_FILE)
  const known = readKnown(path)
  if (known !== undefined) return known
  // An IPv6 address cannot stand in names of actors and queues as it is.
  const name = (await localAddress(manager)).replace(/[^\w.-]+/g, '-').replace(/^-+/, '')
  try {
    mkdirSync(data, { recursive: true, mode: 0o700 })
    await replaceFile(path, `${name}\n`)
  } catch (cause) {
    throw new TroupeError('store-failed', `cannot write ${path}: set worker.name`, { cause })
  }
  return name
}

/** Undefined at the first start. Another name instead of one that is damaged would be that of other threads. */
function readKnown(path: string): string | undefined {
  let text: string
  try {
    text = readFileSync(path, 'utf8').trim()
  } catch (cause) {
    if (isMissing(cause)) return undefined
    throw new TroupeError('store-failed', `cannot read ${path}: set worker.name`, { cause })
  }
  if (NAME.test(text)) return text
  const why = `${path} holds no name of a worker: write there the name that this worker had, or set worker.name`
  throw new TroupeError('store-failed', why)
}

/** Of this machine, on the way to another; this machine itself where there is none. */
export function localAddress({ host, port }: Place): Promise<string> {
  return new Promise((resolve) => {
    const socket = createSocket(host.includes(':') ? 'udp6' : 'udp4')
    const told = (address: string) => {
      socket.close()
      resolve(address)
    }
    socket.once('error', () => told('127.0.0.1'))
    socket.connect(port || ANY_PORT, host, () => told(socket.address().address))
  })
}
