/**
 * `troupe util worker list` over hundreds of workers that have pinged: the route and the table in this
 * process, and the whole command as a shell runs it, beside a Node.js that does nothing. Decides: where
 * each of the times begins and ends.
 */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { closeSync, openSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { platform } from '../../machines/platform/index.ts'
import { utilVerbs } from '../../machines/sealing/fleet/index.ts'
import { sealingWith } from '../../machines/sealing/index.ts'
import { ManagerClient } from '../../machines/sealing/manager/index.ts'
import {
  type AppVerb,
  createGateway,
  createNode,
  openLog,
  systemClock,
  type VerbCall,
} from '../../src/index.ts'
import { each } from '../measure.ts'

const ROUNDS = 9
const IN_FLIGHT = 32
const MAIN = fileURLToPath(new URL('../../src/main.js', import.meta.url))
const WORDS = ['util', 'worker', 'list']
const THREADS = 12

export interface ListParams {
  data: string
  workers: number
}

/** ms, a value per round. */
export interface ListTimes {
  pingsPerSecond: number
  route: number[]
  /** The route and the table that is printed. */
  verb: number[]
  command: number[]
  /** The same program with the same modules, but no question to the node. */
  help: number[]
  bareNode: number[]
}

export async function sealingList({ data, workers }: ListParams): Promise<ListTimes> {
  const log = openLog({ level: 'silent' })
  const apps = [platform, sealingWith([platform])]
  const manager = { miners: [{ id: 1_000, sectorSize: '2KiB' }] }
  const config = { sealing: { manager } }
  const node = await createNode({ dataDirectory: join(data, 'list'), apps, config, log })
  const gateway = await createGateway({ node, port: 0 })
  const { url } = gateway
  const pinged = await ping(url, workers)
  const times: ListTimes = {
    ...{ pingsPerSecond: (workers / pinged) * 1_000 },
    ...{ route: [], verb: [], command: [], help: [], bareNode: [] },
  }
  const output = join(data, 'output')
  await timeOf(() => verbOnce(url, workers))
  await timeOf(() => run([MAIN, ...WORDS, '--http', url], workers, output))
  for (let round = 0; round < ROUNDS; round++) {
    times.route.push(await timeOf(() => fetchList(url)))
    times.verb.push(await timeOf(() => verbOnce(url, workers)))
    times.bareNode.push(await timeOf(() => run(['-e', '0'], 0, output)))
    times.help.push(await timeOf(() => run([MAIN, ...WORDS, '--help'], 1, output)))
    times.command.push(await timeOf(() => run([MAIN, ...WORDS, '--http', url], workers, output)))
  }
  await gateway.close()
  await node.stop()
  return times
}

/** As workers do it. */
function ping(url: string, workers: number): Promise<number> {
  const client = new ManagerClient({ address: `${url}/sealing/rpc/v0` })
  return each(workers, IN_FLIGHT, (n) => {
    const Dest = `10.0.${n >> 8}.${n & 255}:17890`
    const Summary = { Threads: THREADS, Empty: 2, Paused: 1, Errors: 1, Running: 6, Waiting: 2 }
    const Name = `sealer-${n}.example.net`
    return client.call('WorkerPing', [{ Name, Dest, Version: '1.0.0', Instance: `i${n}`, Summary }])
  })
}

async function timeOf(work: () => Promise<unknown>): Promise<number> {
  const at = performance.now()
  await work()
  return performance.now() - at
}

async function fetchList(url: string): Promise<unknown> {
  const response = await fetch(`${url}/sealing/workers`)
  if (!response.ok) throw new Error(`the list of workers answers ${response.status}`)
  return await response.json()
}

/** The verb's own code, with everything that it prints. */
async function verbOnce(url: string, workers: number): Promise<void> {
  let printed = ''
  const call: VerbCall = {
    ...{ arguments: [], options: { expiration: '10m' }, json: false },
    http: async () => ({ status: 200, body: await fetchList(url) }),
    transfer: () => Promise.reject(new Error('a list moves no bytes')),
    write: (text) => {
      printed += text
    },
    ...{ print: nothing, note: nothing, progress: nothing, confirm: async () => true },
    clock: systemClock(),
    signal: new AbortController().signal,
  }
  await listVerb().run(call)
  // One below the headings for each.
  const lines = printed.split('\n').length - 1
  if (lines !== workers + 1) throw new Error(`the list has ${lines} lines`)
}

function nothing(): void {
  return undefined
}

function listVerb(): AppVerb {
  const verb = utilVerbs.find(({ path }) => path.join(' ') === WORDS.join(' '))
  if (verb === undefined) throw new Error(`there is no verb ${WORDS.join(' ')}`)
  return verb
}

/** From the start of the process to its end. It prints into a file: no reader holds it up. */
async function run(words: readonly string[], linesMin: number, output: string): Promise<void> {
  const file = openSync(output, 'w')
  try {
    const child = spawn(process.execPath, words, { stdio: ['ignore', file, 'inherit'] })
    const [code] = (await once(child, 'exit')) as [number | null]
    const lines = readFileSync(output, 'utf8').split('\n').length - 1
    if (code === 0 && lines >= linesMin) return
    throw new Error(`${words.join(' ')} ended with ${code} and ${lines} lines`)
  } finally {
    closeSync(file)
  }
}
