/** Verbs with `--wait`, over answers of a node that are made up: what ends the wait when nothing goes on by itself. */
import { expect, it } from 'vitest'
import { diskJobVerbs } from '../../../../../machines/storage/background/interfaces/disk-verbs.ts'
import { taskVerbs } from '../../../../../machines/storage/background/interfaces/task-verbs.ts'
import { VirtualClock } from '../../../../../src/adapters/memory/index.ts'
import type { VerbCall } from '../../../../../src/index.ts'

const NOT_DONE = 5
const MOVE = {
  ...{ task_id: 'manual_migrate-1-1-x', at: 'prepared.queued', state: 2, condition: 'active' },
  ...{ vid: 1, source_vuid_text: '1', source_disk_id: 1, destination_disk_id: null, priority: 0 },
  ...{ worker: null, why: null, until: null, updated_at: 0, mode: null, source_idc: 'z1' },
  ...{ forbidden_direct_download: false, worker_redo_cnt: 0, finish_advance_reason: '' },
  ...{ last_error: null, stat: { done_size: 0, done_count: 0, total_size: 0, total_count: 0 } },
}
const JOB = {
  ...{ task_type: 'disk_drop', disk_id: 7, state: 'migrating', condition: 'active', total: 3 },
  ...{ done: 1, bytes: 0, moving: 2, still: 0, end: null, why: null, until: null, updated_at: 1 },
}
const STILL = { moving: 2, still: 2, why: '2 moves stand still: see migrate-task/x' }

interface Followed {
  code: unknown
  out: string
  looks: number
}

/** @param answers one after the other, of what is followed; it stays at the last for a while, and is done then */
async function followed(
  words: string[],
  answers: readonly object[],
  done: object,
  isOn: () => boolean = () => true,
): Promise<Followed> {
  const [verb = '', id = ''] = words
  const found = [...taskVerbs, ...diskJobVerbs].find(({ path }) => path.join(' ') === verb)
  const clock = new VirtualClock()
  let [out, looks] = ['', 0]
  const http = async ({ path }: { path: string }) => {
    if (path === '/storage/switches')
      return { status: 200, body: { switches: { disk_drop: isOn() } } }
    if (path.endsWith('/task/add')) return { status: 200, body: MOVE }
    if (path.startsWith('/storage/disks/'))
      return { status: 200, body: { disk_id: 7, standing: 'dropping' } }
    const body = looks < 50 ? (answers[looks] ?? answers.at(-1)) : done
    looks += 1
    return { status: 200, body }
  }
  const call = {
    ...{ arguments: [id], options: { wait: true }, json: false, http, clock },
    print: (line: string) => {
      out += `${line}\n`
    },
    ...{ note: () => {}, progress: () => {}, signal: new AbortController().signal },
  } as unknown as VerbCall
  let code: unknown = 'none yet'
  const running = Promise.resolve(found?.run(call)).then((said) => {
    code = said
  })
  for (let turn = 0; turn < 1_000 && code === 'none yet'; turn += 1) await clock.settle(500)
  await running
  return { code, out, looks }
}

const drop = (answers: readonly object[], isOn?: () => boolean) =>
  followed(['storage drop', '7'], answers, { ...JOB, state: 'done', end: 'emptied' }, isOn)

it('a task that the platform has parked is waited for no more', async () => {
  const parked = { ...MOVE, condition: 'parked', why: 'it cannot be read' }
  const answers = [MOVE, { ...MOVE, condition: 'paused' }, parked]
  const { code, out, looks } = await followed(['storage migrate', '1'], answers, {
    ...{ ...MOVE, at: 'finished', condition: 'finished' },
  })
  expect([code, looks]).toEqual([NOT_DONE, 3])
  expect(out).toContain('prepared.queued, parked')
  expect(out).toContain('it cannot be read')
})

it('nor is the job of a disk that the platform has parked', async () => {
  const parked = { ...JOB, condition: 'parked', why: 'parked by fault: it cannot be read' }
  const { code, out, looks } = await drop([JOB, parked])
  expect([code, looks]).toEqual([NOT_DONE, 2])
  expect(out).toContain('it cannot be read')
})

it('nor one of which only moves are left that stand still, when it has looked again', async () => {
  const stuck = { ...JOB, ...STILL, updated_at: 2 }
  const again = { ...stuck, updated_at: 4 }
  const answers = [JOB, stuck, stuck, { ...stuck, state: 'generating', updated_at: 3 }, again]
  const { code, out, looks } = await drop(answers)
  expect([code, looks]).toEqual([NOT_DONE, 5])
  expect(out).toContain('2 moves stand still')
})

it('while one of them goes on, or the switch is closed, it is waited for', async () => {
  const going = [1, 2, 3].map((updated_at) => ({ ...JOB, still: 1, updated_at }))
  const resumed = [
    { ...JOB, ...STILL, updated_at: 4 },
    { ...JOB, updated_at: 5 },
  ]
  expect(await drop([...going, ...resumed])).toMatchObject({ code: 0, looks: 51 })
  const stuck = [1, 2, 3].map((updated_at) => ({ ...JOB, ...STILL, updated_at }))
  expect(await drop(stuck, () => false)).toMatchObject({ code: 0, looks: 51 })
})
