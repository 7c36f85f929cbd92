/** The verbs of background tasks, against a real node: what a person types, reads, and what comes of it. */
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { until } from '../../../../waiting.ts'
import { PlaneRig } from '../../plane/plane-rig.ts'
import { added, call, comesTo, volumeToMove } from './calls.ts'
import { numbersIn } from './shape.ts'

const PATIENT = { timeoutMs: 30_000 }

let rig: PlaneRig
let vuids: bigint[]
beforeEach(async () => {
  rig = await PlaneRig.create()
  ;({ vuids } = await volumeToMove(rig))
})
afterEach(() => rig.close())

const troupe = (...words: string[]) => rig.troupe('storage', ...words)
async function ok(...words: string[]): Promise<string> {
  const { code, out, err } = await troupe(...words)
  expect(code, err).toBe(0)
  return out
}
const unit = (index: number) => String(vuids[index])

describe('switches', () => {
  it('are all closed at first, and set by verbs and by the old way alike', async () => {
    expect(await ok('switch')).not.toMatch(/\bon\b/)
    expect(await ok('switch', 'balance', 'on')).toMatch(/balance\s+on/)
    await call(rig, 'POST', '/config/set', '{"key":"disk_drop","value":"true"}')
    expect(JSON.parse(await ok('switch', '--json'))).toMatchObject({
      ...{ balance: true, disk_drop: true, disk_repair: false },
    })
    expect((await call(rig, 'GET', '/config/get?key=balance')).text).toBe('"true"')
    expect((await call(rig, 'GET', '/config/get?key=disk_repair')).text).toBe('"false"')
    await call(rig, 'POST', '/config/set', '{"key":"disk_drop","value":"false"}')
    expect(await ok('switch', 'disk_drop')).toMatch(/disk_drop\s+off/)
  })

  it('that there are not are refused', async () => {
    expect(await troupe('switch', 'manual_migrate', 'on')).toMatchObject({
      ...{ code: 2, err: expect.stringContaining('"manual_migrate" is no switch') },
    })
    expect((await troupe('switch', 'balance', 'maybe')).err).toContain('neither on nor off')
    const set = (body: string) => call(rig, 'POST', '/config/set', body)
    expect((await set('{"key":"balance","value":"yes"}')).status).toBe(400)
    expect(await set('{"key":"code_mode_extend","value":"true"}')).toMatchObject({
      ...{ status: 921, body: { code: 'invalid_config' } },
    })
    expect(await call(rig, 'GET', '/config/get?key=nothing')).toMatchObject({ status: 404 })
  })

  it('are open from the beginning where the configuration says so', async () => {
    await rig.close()
    rig = await PlaneRig.create({ background: { open: ['balance'] } })
    await until(async () => /balance\s+on/.test(await ok('switch')), PATIENT, 'it to be open')
  })
})

describe('tasks', () => {
  it('are listed and shown, with what they wait for', async () => {
    const id = (await ok('migrate', unit(0), '--priority', '3')).trim()
    await comesTo(rig, id, 'prepared.queued')
    const other = (await ok('migrate', unit(1))).trim()
    const all = await ok('tasks', 'list')
    for (const one of [id, other]) expect(all).toContain(one)
    expect(await ok('tasks', 'list', '--type', 'manual_migrate', '--state', 'prepared')).toContain(
      id,
    )
    expect((await troupe('tasks', 'list', '--type', 'balance')).err).toContain('no such tasks')
    expect(await ok('tasks', 'list', '--disk', id.split('-')[1] ?? '')).toContain(id)
    const shown = await ok('tasks', 'info', id)
    expect(shown).toContain(`${unit(0)} of volume 1, Replica3OneAZ`)
    expect(shown).toMatch(/copied +\[[#.]{24}\]/)
    expect(shown).toMatch(/priority +3/)
    expect(shown).toContain('waits for')
    expect((await troupe('tasks', 'info', 'balance-1-1-none')).code).toBe(4)
    expect((await troupe('migrate', unit(0))).err).toContain('moved by manual_migrate-')
    expect((await troupe('migrate', '7')).code).toBe(2)
  })

  it('are paused, go on, come sooner, are tried now, and are given up', async () => {
    const id = await added(rig, vuids[0] ?? 0n)
    await comesTo(rig, id, 'prepared.queued')
    expect(await ok('tasks', 'pause', id)).toContain('prepared.queued, paused')
    expect((await troupe('tasks', 'cancel', id)).err).toContain('is paused and hears nothing')
    expect(await ok('tasks', 'list')).toContain('paused')
    expect(await ok('tasks', 'resume', id)).not.toContain('paused')
    expect((await troupe('tasks', 'resume', id)).err).toContain('neither paused nor parked')
    await ok('tasks', 'priority', id, '7')
    expect(await ok('tasks', 'info', id)).toMatch(/priority +7/)
    expect((await troupe('tasks', 'priority', id, '1000')).code).toBe(2)
    await ok('tasks', 'retry', id)
    expect(await ok('tasks', 'cancel', id)).toContain('cancelled')
    expect((await troupe('tasks', 'cancel', id)).err).toContain('has ended: cancelled')
    // The volume and the chunk that was made for it are free again.
    const volume = await rig.stands(1, (one) => one.standing === 'idle' && one.mover === null)
    expect(Object.keys(volume.moves)).toEqual([])
    // By whom, too.
    const history = await rig.node.client.history(`migrate-task/${id}`)
    expect(history.find(({ cause }) => cause === 'CANCEL')?.by).toContain('loopback')
  })

  it('that need a person go on when one has looked at them', async () => {
    const id = await added(rig, vuids[1] ?? 0n)
    await comesTo(rig, id, 'prepared.queued')
    const address = `migrate-task/${id}`
    await rig.node.client.pause(address)
    await rig.node.client.resume(address, { state: 'parked' })
    expect(await ok('tasks', 'list', '--state', 'parked')).toContain(id)
    expect(await ok('tasks', 'resume', id)).toContain(`${id}  inited`)
  })

  it('that were asked for by hand are followed to their end', async () => {
    const following = troupe('migrate', unit(2), '--wait')
    let id = ''
    await until(
      async () => {
        const { body } = await call(rig, 'GET', '/storage/tasks')
        id = body.tasks[0]?.task_id ?? ''
        return body.tasks[0]?.at === 'prepared.queued'
      },
      PATIENT,
      'the task to wait for a worker',
    )
    await ok('tasks', 'cancel', id)
    expect(await following).toMatchObject({ code: 5, out: expect.stringContaining('cancelled') })
  })
})

describe('whole disks', () => {
  it('are dropped with a word, and shown while they are', async () => {
    const [disk = 0] = (await rig.volume(1)).units.map(({ diskId }) => diskId)
    const { out, err } = await troupe('drop', String(disk))
    expect(out).toBe(`disk ${disk}  dropping\n`)
    expect(err).toContain('disk_drop is switched off')
    expect((await troupe('drop', String(disk))).code).toBe(0)
    await ok('switch', 'disk_drop', 'on')
    await until(async () => (await ok('drop')).includes('0/1'), PATIENT, 'the disk to be in hand')
    expect(await ok('drop')).toMatch(new RegExp(`disk ${disk} .*\\[\\.{24}\\] +0%`))
    const stats = await call(rig, 'GET', '/leader/stats/?extended=true')
    expect(stats.body.disk_drop).toMatchObject({
      ...{ enable: true, dropping_disk_id: disk, total_tasks_cnt: 1, dropped_tasks_cnt: 0 },
      dropping_disks: [disk],
    })
    const progress = (type: string, id: number) =>
      call(rig, 'GET', `/stats/disk/migrating?task_type=${type}&disk_id=${id}`)
    expect((await progress('disk_drop', disk)).body).toEqual({
      ...{ total_tasks_cnt: 1, migrated_tasks_cnt: 0 },
    })
    expect(await progress('disk_repair', disk)).toMatchObject({
      ...{ status: 500, body: { error: 'not repairing disk' } },
    })
    expect((await progress('balance', disk)).status).toBe(400)
    expect((await call(rig, 'GET', `/storage/disk-jobs/disk_repair/${disk}`)).status).toBe(404)
    expect(await ok('stats')).toContain(`disk ${disk}`)
  })

  it('are followed until they are dropped, and may have been before', async () => {
    const used = (await rig.volume(1)).units.map(({ diskId }) => diskId)
    const [one, other] = [1, 2, 3, 4, 5].filter((id) => !used.includes(id)).map(String)
    await ok('switch', 'disk_drop', 'on')
    await ok('switch', 'disk_repair', 'on')
    const shown = /done .*\[#{24}\] 100% +0\/0|dropped|repaired/
    expect(await ok('drop', one ?? '', '--wait')).toMatch(shown)
    expect(await ok('disks', 'info', one ?? '')).toMatch(/status +dropped/)
    expect((await troupe('drop', one ?? '', '--wait')).code).toBe(0)
    expect(await ok('repair', other ?? '', '--yes', '--wait')).toMatch(shown)
    expect(await ok('disks', 'info', other ?? '')).toMatch(/status +repaired/)
  })

  it('are given up only by who means it', async () => {
    const used = (await rig.volume(1)).units.map(({ diskId }) => diskId)
    const spare = [1, 2, 3, 4, 5].find((id) => !used.includes(id))
    expect((await troupe('repair', String(spare))).err).toContain('--yes')
    expect(await ok('repair', String(spare), '--yes')).toMatch(/broken|repairing|repaired/)
    expect((await troupe('repair', '99', '--yes')).code).toBe(4)
  })
})

it('statistics are told by the node that leads, to people and programs', async () => {
  await ok('switch', 'shard_repair', 'on')
  const out = await ok('stats')
  expect(out).toMatch(/manual_migrate +- /)
  expect(out).toMatch(/shard_repair +on /)
  expect(out).toMatch(/balance +off .*0\/20/)
  for (const path of ['/stats', '/stats/', '/leader/stats', '/leader/stats/', '/stats/leader']) {
    const { status, body } = await call(rig, 'GET', path)
    expect(status).toBe(200)
    expect(Object.keys(body).sort()).toEqual([
      ...['balance', 'blob_delete', 'disk_drop', 'disk_repair', 'manual_migrate', 'shard_repair'],
      'volume_inspect',
    ])
    expect(numbersIn(body.balance.stats_per_min.finished_cnt)).toHaveLength(20)
  }
  const metrics = await (await fetch(`${rig.url}/metrics`)).text()
  expect(metrics).toContain('storage_moves{type="balance",stage="preparing"} 0')
  expect(metrics).toContain('storage_switch{name="shard_repair"} 1')
  expect(metrics).toContain('storage_inspections_total{outcome="timed_out"} 0')
})

it('balancing and inspections say how they stand', async () => {
  expect(await ok('balance')).toMatch(/switch +off/)
  await ok('balance', 'on')
  await until(async () => /idc z1/.test(await ok('balance')), PATIENT, 'levels of the idc')
  expect(await ok('balance', '--json')).toContain('"levels"')
  expect(await ok('inspect')).toMatch(/waits for +volume_inspect is switched off/)
  expect(await ok('inspect', 'on')).toMatch(/switch +on/)
  await until(async () => /1 free/.test(await ok('inspect')), PATIENT, 'a volume to inspect')
  expect((await call(rig, 'GET', '/storage/inspect/lost')).body).toEqual({ volumes: [] })
  expect((await call(rig, 'POST', '/storage/inspect/volumes/77', '{}')).status).toBe(404)
})
