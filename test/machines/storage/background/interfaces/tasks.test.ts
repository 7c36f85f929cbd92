/** Moves by hand and workers over HTTP, as programs of the old store call them, against a real node. */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { PlaneRig } from '../../plane/plane-rig.ts'
import { added, call, comesTo, volumeToMove } from './calls.ts'
import { shapeOf } from './shape.ts'

const seed = JSON.parse(readFileSync(join(import.meta.dirname, 'seed/task.json'), 'utf8'))
const RFC_3339 = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/

let rig: PlaneRig
let vuids: bigint[]
beforeEach(async () => {
  rig = await PlaneRig.create()
  ;({ vuids } = await volumeToMove(rig))
})
afterEach(() => rig.close())

const unit = (index: number) => vuids[index] ?? 0n
const get = (path: string) => call(rig, 'GET', path)
const post = (path: string, body: object | string) =>
  call(rig, 'POST', path, typeof body === 'string' ? body : JSON.stringify(body))

describe('a move by hand', () => {
  it('has an id that says what it is, and is told key for key as of old', async () => {
    const id = await added(rig, unit(1))
    expect(id).toMatch(/^manual_migrate-\d+-1-[0-9a-v]{20}$/)
    await comesTo(rig, id, 'prepared.queued')
    const { status, body, text } = await get(`/task/detail/manual_migrate/${id}`)
    expect(status).toBe(200)
    expect(shapeOf(body)).toEqual(shapeOf(seed))
    expect(text).toContain(`"source_vuid":${unit(1)}`)
    expect(body.task).toMatchObject({
      ...{ task_id: id, task_type: 'manual_migrate', state: 2, code_mode: 101 },
      ...{ source_idc: 'z1', forbidden_direct_download: false, worker_redo_cnt: 0 },
      destination: { vuid: expect.anything(), host: rig.blobnodes.address },
      ctime: expect.stringMatching(RFC_3339),
      mtime: expect.stringMatching(RFC_3339),
    })
    expect(BigInt(body.task.destination.vuid)).toBe(unit(1) + 1n)
    expect(body.task.sources.map(({ vuid }: { vuid: bigint }) => BigInt(vuid))).toEqual(vuids)
  })

  it('is refused while another task moves the unit, also of two at once', async () => {
    const body = `{"vuid":${unit(0)},"direct_download":false}`
    const answers = await Promise.all([1, 2, 3].map(() => post('/manual/migrate/task/add', body)))
    const statuses = answers.map(({ status }) => status).sort()
    expect(statuses).toEqual([200, 601, 601])
    const refused = answers.find(({ status }) => status === 601)
    expect(refused?.body).toMatchObject({ code: 'already_exists' })
    expect(refused?.body.error).toContain('moved by manual_migrate-')
  })

  it('is refused where there is no such unit now', async () => {
    const add = (vuid: bigint) => post('/manual/migrate/task/add', `{"vuid":${vuid}}`)
    expect(await add(unit(0) + 1n)).toMatchObject({
      status: 918,
      body: { code: expect.any(String) },
    })
    expect(await add((99n << 32n) | 1n)).toMatchObject({ status: 904 })
    expect(await add(5n)).toMatchObject({ status: 400 })
    expect(await post('/manual/migrate/task/add', '{"vuid":1665382175735811.5}')).toMatchObject({
      status: 400,
      body: { code: 'malformed' },
    })
  })

  it('can be asked for by the type as the old text misspells it, and by no other', async () => {
    const id = await added(rig, unit(0))
    expect(await get(`/task/detail/disk_repir/${id}`)).toMatchObject({
      ...{ status: 404, body: { code: 'NotFound' } },
    })
    expect(await get(`/task/detail/balanced/${id}`)).toMatchObject({
      ...{ status: 400, body: { error: 'illegal task type', code: 'illegal_type' } },
    })
    expect(await get('/task/detail/manual_migrate/none-at-all')).toMatchObject({ status: 404 })
    const exists = (type: string) =>
      get(`/task/exist/check?task_type=${type}&disk_id=${id.split('-')[1]}&vuid=${unit(0)}`)
    expect((await exists('manual_migrate')).body).toEqual({ exist: true })
    expect((await exists('balance')).body).toEqual({ exist: false })
  })
})

it('times are as Go prints them where that is wanted', async () => {
  await rig.close()
  rig = await PlaneRig.create({ background: { goTimes: true } })
  ;({ vuids } = await volumeToMove(rig))
  const id = await added(rig, unit(0))
  const { body } = await get(`/task/detail/manual_migrate/${id}`)
  const go = /^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d(\.\d+)? [+-]\d{4} UTC m=\+\d+\.\d{9}$/
  expect(body.task.ctime).toMatch(go)
})

describe('a worker of the old store', () => {
  const acquire = () => get('/task/acquire?idc=z1')

  it('is told 700 where there is nothing to do', async () => {
    expect(await acquire()).toMatchObject({ status: 700, body: { code: 'nothing_to_do' } })
    expect((await get('/task/acquire')).status).toBe(400)
  })

  it('gets a task, keeps it, reports, and completes it', async () => {
    const id = await added(rig, unit(1))
    await comesTo(rig, id, 'prepared.queued')
    // Whoever is answered no body would have it without a word of it.
    const head = await fetch(`${rig.url}/task/acquire?idc=z1`, { method: 'HEAD' })
    expect([head.status, head.headers.get('allow')]).toEqual([405, 'GET'])
    const { status, body: task } = await acquire()
    expect(status).toBe(200)
    const { token, lease_ms, ...wire } = task
    expect(shapeOf(wire)).toEqual(shapeOf(seed.task))
    expect([typeof token, lease_ms]).toEqual(['number', 10_000])
    await comesTo(rig, id, 'prepared.leased')
    expect((await acquire()).status).toBe(700)

    const renew = (ids: object) => post('/task/renewal', { idc: 'z1', ids })
    expect(await renew({ manual_migrate: [id] })).toMatchObject({ status: 200, body: {} })
    const mixed = await renew({ manual_migrate: [id, 'balance-1-1-x', 'manual_migrate-1-1-x'] })
    expect(mixed.body.errors.manual_migrate).toEqual({
      'balance-1-1-x': 'illegal arguments',
      'manual_migrate-1-1-x': expect.stringContaining('is not with workers'),
    })
    expect(await renew({ nonsense: [id] })).toMatchObject({
      ...{ status: 400, body: { code: 'illegal_type' } },
    })

    const kind = { task_type: 'manual_migrate', task_id: id }
    const stats = { done_size: 50, done_count: 1, total_size: 200, total_count: 4, progress: 25 }
    const increase = { increase_data_size_byte: 50, increase_shard_cnt: 1 }
    const report = { ...kind, task_stats: stats, ...increase }
    expect(await post('/task/report', report)).toMatchObject({ status: 200, text: '' })
    const wrong = await post('/task/report', { ...report, task_type: 'balance' })
    expect(wrong).toMatchObject({ status: 400, body: { error: 'illegal arguments' } })
    const { body } = await get(`/task/detail/manual_migrate/${id}`)
    expect(body.stat).toEqual(stats)

    const place = ({ vuid, host, disk_id }: { vuid: bigint; host: string; disk_id: number }) =>
      `{"vuid":${vuid},"host":"${host}","disk_id":${disk_id}}`
    const end = (src: string) =>
      `{"idc":"z1","task_id":"${id}","task_type":"manual_migrate","src":${src},"dest":${place(task.destination)},"reason":""}`
    expect(await post('/task/complete', end('[]'))).toMatchObject({
      ...{ status: 409, body: { error: 'unmatched task vuids', code: 'unmatched' } },
    })
    const sources = `[${task.sources.map(place).join(',')}]`
    expect(await post('/task/complete', end(sources))).toMatchObject({ status: 200, text: '' })
    const ended = await get(`/task/detail/manual_migrate/${id}`)
    expect(ended.body.task.state).toBeGreaterThanOrEqual(3)
  })

  it('cannot speak for a task that another one has', async () => {
    const id = await added(rig, unit(2))
    await comesTo(rig, id, 'prepared.queued')
    const { status, body: task } = await get('/task/acquire?idc=z1&worker=w1&wait_ms=5000')
    expect(status).toBe(200)
    const end = { idc: 'z1', task_id: id, task_type: 'manual_migrate', reason: 'tired' }
    const body = { ...end, dest: { vuid: '1', host: '', disk_id: 1 } }
    const dest = { vuid: String(task.destination.vuid), host: 'x', disk_id: 1 }
    for (const who of [{}, { worker: 'w2' }, { worker: 'w1', token: task.token + 1 }]) {
      const refused = await post('/task/cancel', { ...body, dest, ...who })
      expect(refused).toMatchObject({
        status: 409,
        body: { code: expect.stringMatching(/holder|token/) },
      })
    }
    const own = { ...body, dest, worker: 'w1', token: task.token }
    expect(await post('/task/cancel', own)).toMatchObject({ status: 200 })
    const { body: shown } = await comesTo(rig, id, 'prepared.delayed')
    expect(shown).toMatchObject({ why: 'w1 gave it up: tired', until: expect.any(Number) })
    expect(
      await post('/task/cancel', { ...own, task_id: 'manual_migrate-1-1-none' }),
    ).toMatchObject({
      status: 409,
    })
  })

  it('that waits gets a task as soon as there is one', async () => {
    const waiting = get('/task/acquire?idc=z1&worker=w1&wait_ms=20000')
    const id = await added(rig, unit(0))
    expect(await waiting).toMatchObject({ status: 200, body: { task_id: id } })
  })
})

it('inspections are given out while they are switched on, and unknown ones are nothing', async () => {
  expect((await get('/inspect/acquire')).status).toBe(700)
  await post('/config/set', { key: 'volume_inspect', value: 'true' })
  const worker = 'w'.repeat(256)
  const { status, body } = await get(`/inspect/acquire?wait_ms=20000&worker=${worker}`)
  expect(status).toBe(200)
  expect(body).toMatchObject({
    ...{ task_id: expect.stringMatching(/^inspect-1-[0-9a-v]{20}$/), mode: 101 },
    replicas: vuids.map((vuid) => ({ vuid: Number(vuid), disk_id: expect.any(Number) })),
  })
  const complete = (task_id: string) =>
    post('/inspect/complete', { task_id, inspect_err_str: '', missed_shards: null })
  expect((await complete('inspect-7-unknown')).status).toBe(200)
  expect(await complete(body.task_id)).toMatchObject({ status: 200, body: {} })
  const shown = await get('/storage/inspect')
  expect(shown.body.totals).toEqual({ finished: 1, timed_out: 0 })
})
