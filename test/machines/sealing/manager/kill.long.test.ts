/** kill -9 of the manager's node while workers ask for sectors and seal them. */
import { type ChildProcess, spawn } from 'node:child_process'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, it } from 'vitest'
import { ManagerClient } from '../../../../machines/sealing/manager/index.ts'
import { type AllocatedSector, ManagerDown } from '../../../../machines/sealing/venus/index.ts'
import { scriptArguments } from '../../../script.ts'
import { until } from '../../../waiting.ts'
import { base64, dataCommitment, SPEC } from './rig.ts'

let directory: string
let child: ChildProcess | undefined
let url = ''

beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'troupe-manager-kill-'))
})

afterEach(async () => {
  await kill()
  await rm(directory, { recursive: true, force: true, maxRetries: 5 })
})

async function start(): Promise<void> {
  const script = join(import.meta.dirname, 'node-process.ts')
  const started = spawn(process.execPath, [...scriptArguments(script), directory], {
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  child = started
  url = await new Promise<string>((resolve, reject) => {
    started.stdout.once('data', (chunk: Buffer) => resolve(chunk.toString().trim()))
    started.once('exit', (code) => reject(new Error(`the node ended: ${code}`)))
  })
}

async function kill(): Promise<void> {
  const killed = child
  if (!killed || killed.exitCode !== null || killed.signalCode !== null) return
  const gone = new Promise((resolve) => killed.once('exit', resolve))
  killed.kill('SIGKILL')
  await gone
}

/** As a step does it: the same task until there is an answer. */
async function persistently<T>(call: (client: ManagerClient) => Promise<T>): Promise<T> {
  return until(
    async () => {
      try {
        return { answer: await call(new ManagerClient({ address: url, timeoutMs: 5_000 })) }
      } catch (thrown) {
        if (thrown instanceof ManagerDown) return undefined
        throw thrown
      }
    },
    { timeoutMs: 40_000 },
    'an answer of the manager',
  ).then(({ answer }) => answer)
}

async function begin(thread: number, turn: number): Promise<AllocatedSector> {
  const taskId = `sealing-thread/w.${thread}#1:${turn}`
  const sector = await persistently((client) => client.call('AllocateSector', [SPEC], { taskId }))
  if (!sector) throw new Error('no sector')
  const { ID } = sector
  const ticket = await persistently((client) => client.call('AssignTicket', [ID]))
  const info = { CommR: base64('r'), CommD: dataCommitment([]), Ticket: ticket }
  const { Res } = await persistently((client) =>
    client.call('SubmitPreCommit', [sector, info, false]),
  )
  expect(Res).toBe(1)
  return sector
}

it('no number is given twice or lost, and no precommit contradicts itself', async () => {
  await start()
  let begun = 0
  const threads = Array.from({ length: 4 }, async (_, thread) => {
    const sectors: AllocatedSector[] = []
    for (let turn = 0; turn < 4; turn++) {
      sectors.push(await begin(thread, turn))
      begun += 1
    }
    return sectors
  })
  const work = Promise.all(threads)
  await until(() => begun >= 5, { timeoutMs: 40_000 }, 'the first sectors to have begun')
  await kill()
  await start()
  const numbers = (await work).flat().map(({ ID }) => ID.Number)
  expect(numbers.sort((a, b) => a - b)).toEqual(Array.from({ length: 16 }, (_, at) => at))
}, 90_000)
