/** Job types of which only some workers know. */
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, it } from 'vitest'
import { apps } from '../../../machines/index.ts'
import type { JobView } from '../../../machines/jobs/job-view.ts'
import { WORKER_FORM } from '../../../src/ports/index.ts'
import { run } from '../../cli/rig.ts'
import { holds, until } from '../../waiting.ts'
import { WorkersRig } from './rig.ts'

const SOON = { timeoutMs: 10_000, every: 50 }
const QUEUE = 'job.group.2'

let rig: WorkersRig
let key: string

beforeEach(async () => {
  rig = await WorkersRig.create({ apps })
  key = await rig.addGroup('2')
})

afterEach(() => rig.close())

/** Its jobs say who ran them. */
const knowing = (type: string, says = type) => ({
  jobs: { types: { [type]: ['/bin/sh', '-c', `echo ${says} "$1"`, 'sh', '{content}'] } },
})

const worker = (name: string, config: Record<string, unknown> = {}) =>
  rig.inner(key, { name, dataDirectory: join(rig.directory, name), config })

async function submit(type: string, group = 2): Promise<number> {
  const body = { name: 'typed', content: 'x; y', type, group }
  return (await rig.call<{ jobId: number }>('POST', '/jobs', body)).jobId
}

const view = (jobId: number) => rig.call<JobView>('GET', `/jobs/${jobId}`)

function shows(jobId: number, status: string, why = ''): Promise<unknown> {
  return until(
    async () => {
      const now = await view(jobId)
      return now.status === status && now.message.includes(why)
    },
    SOON,
    async () => `job ${jobId} as ${status}, ${why}; it is ${JSON.stringify(await view(jobId))}`,
  )
}

async function stdoutOf(jobId: number): Promise<string> {
  return (await rig.call<{ text: string }>('GET', `/jobs/${jobId}/log`)).text
}

it('a type that nobody knows waits, says what is known, and goes on when a worker comes that has it', async () => {
  const jobId = await submit('odd kind/ü')
  await shows(
    jobId,
    'waiting',
    'know its type "odd kind/ü" (apps.jobs.types); no worker of group 2',
  )
  await worker('plain', knowing('pig'))
  await shows(jobId, 'waiting', 'what group 2 knows: pig, shell')
  await worker('able', knowing('odd kind/ü', 'able'))
  await shows(jobId, 'success')
  expect(await stdoutOf(jobId)).toBe('able x; y\n')
})

it('a job goes to a worker that knows its type, however idle others are', async () => {
  await worker('plain')
  await worker('able', knowing('hive'))
  const queues = [QUEUE, `${QUEUE}/hive`]
  await until(
    async () => String((await rig.workerView('able'))?.queues) === `${queues}`,
    SOON,
    'it',
  )
  const all = await Promise.all(Array.from({ length: 6 }, () => submit('hive')))
  for (const jobId of all) {
    await shows(jobId, 'success')
    expect(await stdoutOf(jobId)).toBe('hive x; y\n')
  }
})

it('when those go that know it, it waits for one of them, and says so', async () => {
  const able = await worker('able', knowing('hive'))
  await until(async () => (await rig.workerView('able'))?.queues.length === 2, SOON, 'its types')
  await able.stop()
  await until(async () => (await rig.workerView('able'))?.status === 'stopped', SOON, 'its end')
  const early = await submit('hive')
  await shows(early, 'waiting', 'no worker of group 2 is there')
  await worker('able', knowing('hive'))
  await shows(early, 'success')
  await rig.call('POST', '/workers/able/offline')
  const late = await submit('hive')
  await shows(late, 'ready', `waits for a worker of group 2 that knows its type "hive" (${QUEUE})`)
  await rig.call('POST', '/workers/able/online')
  await shows(late, 'success')
})

it('what a worker is configured with counts for what it runs, whatever its node says', async () => {
  await rig.close()
  rig = await WorkersRig.create({ apps, config: knowing('hive', 'node') })
  key = await rig.addGroup('2')
  const plain = await worker('plain')
  const first = await submit('hive')
  await shows(first, 'success')
  expect(await stdoutOf(first)).toBe('node x; y\n')
  await plain.stop()
  await worker('able', knowing('hive', 'worker'))
  const second = await submit('hive')
  await shows(second, 'success')
  expect(await stdoutOf(second)).toBe('worker x; y\n')
})

it('one that is paused is left alone, and goes on when it is resumed', async () => {
  const jobId = await submit('hive')
  await rig.node.client.pause(`job/${jobId}`)
  await worker('able', knowing('hive'))
  const other = await submit('hive')
  await shows(other, 'success')
  expect((await rig.node.client.get(`job/${jobId}`)).kept).toBe(0)
  await rig.node.client.resume(`job/${jobId}`)
  await rig.call('POST', '/workers/able/offline')
  await rig.call('POST', '/workers/able/online')
  await shows(jobId, 'success')
})

it('a job that is changed to a type goes to those that know it', async () => {
  await worker('able', knowing('hive'))
  await until(async () => (await rig.workerView('able'))?.queues.length === 2, SOON, 'its types')
  const jobId = await submit('shell', 3)
  await rig.call('PATCH', `/jobs/${jobId}`, { type: 'hive', group: 2 })
  await shows(jobId, 'success')
  expect(await stdoutOf(jobId)).toBe('hive x; y\n')
})

it('a job that only others may run waits, and is not begun in vain', async () => {
  await worker('able', knowing('hive'))
  await until(async () => (await rig.workerView('able'))?.queues.length === 2, SOON, 'its types')
  await rig.call('POST', '/workers/able/offline')
  const jobId = await submit('hive')
  await worker('plain')
  await holds(async () => (await view(jobId)).status === 'ready', { forMs: 500 }, 'it waits')
  expect((await view(jobId)).attempt).toBe(0)
})

it('the key of a group admits to the queues below its own, and to no others', async () => {
  const poll = (queue: string) =>
    rig.ask('poll', {
      key,
      body: {
        form: WORKER_FORM,
        session: 's',
        instance: 'i',
        version: 1,
        consumers: [{ id: 1, queue, slots: 1 }],
        after: 0,
      },
    })
  expect((await poll('job.group.3/hive')).status).toBe(403)
  expect((await poll('job.group.22/hive')).status).toBe(403)
  const jobId = await submit('hive', 3)
  expect((await view(jobId)).status).toBe('waiting')
})

it.each([
  ['limits:\n  leaseMs: 1\n', ':1: limits: of a worker', 'only apps, nats, cluster count'],
  ['apps:\n  job: {}\n', ':2: apps.job: there is no app "job"', 'did you mean "jobs"?'],
  ['apps:\n  jobs:\n    types:\n      hive: hive\n', ':4: apps.jobs.types.hive: ', 'array'],
])('troupe worker refuses a configuration that means nothing: %j', async (text, place, why) => {
  const file = join(rig.directory, 'worker.yaml')
  await writeFile(file, text)
  const words = ['worker', '--config', file, '--key', key, '--group', '2', '--data', 'never']
  const { code, err } = await run(words, { apps, env: { TROUPE_HTTP: rig.url } })
  expect(code).not.toBe(0)
  expect(err).toContain(`${file}${place}`)
  expect(err).toContain(why)
})
