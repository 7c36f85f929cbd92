/**
 * What a worker without a configured name is called. Decides: the address that it reaches its manager
 * from, as the old workers have it, but remembered: another address on another day must not make its
 * threads those of somebody else.
 */
import { createSocket } from 'node:dgram'
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { TroupeError } from '../../../src/index.ts'
import type { Place } from './places.ts'

const NAME_FILE = 'worker-name'
const NAME = /^[0-9A-Za-z][\w.-]{0,47}$/
/** Nothing is sent there; any port tells the way. */
const ANY_PORT = 1_789

/** @throws TroupeError `store-failed` when the name cannot be kept */
export async function workerName(
  configured: string | null,
  data: string,
  manager: Place,
): Promise<string> {
  if (configured !== null) return configured
  const path = join(data, NAME_FILE)
  try {
    const known = readFileSync(path, 'utf8').trim()
    if (NAME.test(known)) return known
  } catch {
    // The first start.
  }
  // An IPv6 address cannot stand in names of actors and queues as it is.
  const name = (await localAddress(manager)).replace(/[^\w.-]+/g, '-').replace(/^-+/, '')
  try {
    mkdirSync(data, { recursive: true, mode: 0o700 })
    writeFileSync(path, `${name}\n`)
  } catch (cause) {
    throw new TroupeError('store-failed', `cannot write ${path}: set worker.name`, { cause })
  }
  return name
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
