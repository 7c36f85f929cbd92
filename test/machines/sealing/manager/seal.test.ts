/** A sector's way through the built-in manager, over HTTP, with every answer that it can get; its workers. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { ManagerClient } from '../../../../machines/sealing/manager/index.ts'
import {
  ManagerRefusal,
  sealProofOfSize,
  sectorName,
} from '../../../../machines/sealing/venus/index.ts'
import { base64, ManagerRig, RPC_PATH, SECTOR_BYTES, SPEC } from './rig.ts'

describe('a sector', () => {
  let rig: ManagerRig

  beforeAll(async () => {
    rig = await ManagerRig.create()
  })

  afterAll(() => rig.close())

  it('a sector from its number to its end; the node restarts in between', async () => {
    const sector = await rig.allocate('thread#1')
    expect(sector).toEqual({ ID: { Miner: 1_000, Number: 0 }, ProofType: 5 })
    await rig.restart()
    expect(await rig.allocate('thread#1')).toEqual(sector)
    const { ID } = sector
    expect(await rig.client.call('AcquireDeals', [ID, {}])).toEqual([])
    const ticket = await rig.client.call('AssignTicket', [ID])
    expect(Buffer.from(ticket.Ticket, 'base64')).toHaveLength(32)
    expect(ticket.Epoch).toBeGreaterThanOrEqual(100)
    expect(await rig.preCommit(sector, { ticket })).toBe('Accepted')
    await rig.restart()
    expect(await rig.preCommit(sector, { ticket })).toBe('Accepted')
    await rig.lands('PollPreCommitState', sector)
    const store = await rig.client.call('StoreReserveSpace', [ID, 2 * SECTOR_BYTES, ['long', 'x']])
    expect(store).toMatchObject({ Name: 'long' })
    await rig.store(sector)
    expect(await rig.client.call('SubmitPersistedEx', [ID, 'long', false])).toBe(true)
    await rig.seeded(sector)
    await rig.restart()
    expect(await rig.prove(sector)).toBe('Accepted')
    expect(await rig.prove(sector)).toBe('Accepted')
    await rig.lands('PollProofState', sector)
    await rig.client.call('ReportFinalized', [ID])
    await rig.client.call('ReportFinalized', [ID])
    expect(await rig.record(sector)).toMatchObject({
      standing: 'finalized',
      persisted: { store: 'long', sizeBytes: SECTOR_BYTES + 64, checked: true },
      reservation: null,
    })
    const room = await rig.node.client.get('sealing-stores/main')
    expect(room.context).toEqual({ reservations: {}, stored: { long: SECTOR_BYTES + 64 } })
  })

  it('a number is given once: to a task that repeats itself the same', async () => {
    const first = await rig.allocate('a/1#1')
    expect(await rig.allocate('a/1#1')).toEqual(first)
    const others = await Promise.all([rig.allocate('a/1#2'), rig.allocate(), rig.allocate()])
    const numbers = [first, ...others].map(({ ID }) => ID.Number)
    expect(new Set(numbers).size).toBe(4)
  })

  it('a number whose sector is there already is not given again, whatever the counter says', async () => {
    const { Number: last } = (await rig.allocate()).ID
    await rig.node.client.delete('sealing-numbers/1000')
    expect((await rig.allocate('again')).ID.Number).toBe(last + 1)
    expect((await rig.allocate('again')).ID.Number).toBe(last + 1)
  })

  it('a task has its sector again, however many others asked since, until that is given up', async () => {
    const sector = await rig.allocate('late')
    await rig.allocate('other')
    await rig.node.client.patch('sealing-numbers/1000', { tasks: [] })
    expect(await rig.allocate('late')).toEqual(sector)
    await rig.preCommit(sector)
    await rig.lands('PollPreCommitState', sector)
    expect(await rig.allocate('late')).toEqual(sector)
    await rig.client.call('ReportAborted', [sector.ID, 'a bad disk'])
    const next = await rig.allocate('late')
    expect(next).not.toEqual(sector)
    expect(await rig.allocate('late')).toEqual(next)
  })

  it('allocates only what a worker may seal', async () => {
    const { client } = rig
    const call = (spec: typeof SPEC) => client.call('AllocateSector', [spec])
    expect(await call({ ...SPEC, AllowedMiners: [7] as never[] })).toBeNull()
    expect(await call({ ...SPEC, AllowedProofTypes: [8] as never[] })).toBeNull()
    expect(await call({ ...SPEC, AllowedProofTypes: [5] as never[] })).not.toBeNull()
  })

  it('a precommit: the same is accepted, another contradicts, a reset replaces and is sent once', async () => {
    const sector = await rig.allocate()
    const ticket = await rig.client.call('AssignTicket', [sector.ID])
    expect(await rig.preCommit(sector, { ticket })).toBe('Accepted')
    expect(await rig.preCommit(sector, { ticket, commR: base64('x') })).toBe('Mismatched')
    const reset = { ticket, commR: base64('x'), reset: true }
    expect(await rig.preCommit(sector, reset)).toBe('Accepted')
    expect(await rig.preCommit(sector, reset)).toBe('Duplicate')
    expect(await rig.preCommit(sector, { ticket })).toBe('Mismatched')
  })

  it('a precommit over other data, with an old ticket or of another kind is put before a person', async () => {
    const sector = await rig.allocate()
    expect(await rig.preCommit(sector, { commD: base64('d') })).toBe('Mismatched')
    const old = { Ticket: base64('t'), Epoch: -3_000 }
    expect(await rig.preCommit(sector, { ticket: old })).toBe('Mismatched')
    expect(await rig.preCommit({ ...sector, ProofType: 6 })).toBe('Mismatched')
    const { Epoch } = await rig.client.call('AssignTicket', [sector.ID])
    const invented = [Epoch, Epoch + 1_000_000].map((at) => ({ Ticket: base64('t'), Epoch: at }))
    for (const ticket of invented)
      expect(await rig.preCommit(sector, { ticket })).toBe('Mismatched')
    expect(await rig.record(sector)).toMatchObject({ preCommit: null })
  })

  it('sectors that the reference prover cannot make are taken as they come', async () => {
    const sector = { ID: { Miner: 3_000, Number: 1 }, ProofType: sealProofOfSize('16MiB').number }
    await rig.node.client.start('sealing-sector/s-t03000-1', { sector, at: 1, task: null })
    expect(await rig.preCommit(sector, { commD: base64('z') })).toBe('Accepted')
  })

  it('a proof: invalid is rejected, early or over another seed is put before a person', async () => {
    const sector = await rig.allocate()
    expect(await rig.prove(sector)).toBe('Mismatched')
    await rig.preCommit(sector)
    expect(await rig.prove(sector)).toBe('Mismatched')
    await rig.lands('PollPreCommitState', sector)
    await rig.seeded(sector)
    await expect(rig.prove(sector, 'x'.repeat(400_000))).rejects.toThrow('has more than')
    expect(await rig.prove(sector, 'bad')).toBe('Rejected')
    const record = await rig.record(sector)
    expect(record).toMatchObject({ proof: null, standing: 'online' })
    const merge = { seed: { Seed: base64('s'), Epoch: 3 } }
    await rig.node.client.patch(`sealing-sector/${sectorName(sector.ID)}`, merge)
    expect(await rig.prove(sector)).toBe('Mismatched')
    await rig.seeded(sector)
    expect(await rig.prove(sector)).toBe('Accepted')
    expect(await rig.prove(sector, 'another')).toBe('Mismatched')
    expect(await rig.prove(sector, 'another', true)).toBe('Accepted')
    expect(await rig.prove(sector, 'another', true)).toBe('Duplicate')
  })

  it('trouble with the chain is an error of the call, which nobody loses a sector by', async () => {
    const sector = await rig.allocate()
    await expect(rig.client.call('WaitSeed', [sector.ID])).rejects.toThrow('no precommit')
    const { State } = await rig.client.call('PollPreCommitState', [sector.ID])
    expect(State).toBe(4)
  })

  it('a sector that nobody knows has an error of its own', async () => {
    const ID = { Miner: 1_000, Number: 77 }
    const sector = { ID, ProofType: 5 }
    const calls = [
      () => rig.client.call('AcquireDeals', [ID, {}]),
      () => rig.client.call('AssignTicket', [ID]),
      () => rig.preCommit(sector, { ticket: { Ticket: base64('t'), Epoch: 1 } }),
      () => rig.client.call('PollPreCommitState', [ID]),
      () => rig.client.call('StoreReserveSpace', [ID, 1, ['long']]),
      () => rig.client.call('SubmitPersistedEx', [ID, 'long', false]),
      () => rig.client.call('WaitSeed', [ID]),
      () => rig.prove(sector),
      () => rig.client.call('PollProofState', [ID]),
      () => rig.client.call('ReportFinalized', [ID]),
      () => rig.client.call('ReportAborted', [ID, 'why']),
    ]
    for (const call of calls) {
      const thrown = await call().catch((error: unknown) => error)
      expect(thrown).toBeInstanceOf(ManagerRefusal)
      expect((thrown as ManagerRefusal).code).toBe(11_001)
    }
  })

  it('files that are missing or cut short are no persisted sector', async () => {
    const sector = await rig.allocate()
    const { ID } = sector
    const submit = () => rig.client.call('SubmitPersistedEx', [ID, 'long', false])
    expect(await submit()).toBe(false)
    await rig.store(sector, '', 100)
    expect(await submit()).toBe(false)
    await rig.store(sector)
    expect(await submit()).toBe(true)
    const other = rig.client.call('SubmitPersistedEx', [ID, 'other', false])
    await expect(other).rejects.toThrow('no store "other"')
  })

  it('without a proof nothing is finalized', async () => {
    const sector = await rig.allocate()
    await expect(rig.client.call('ReportFinalized', [sector.ID])).rejects.toThrow('no proof yet')
    expect(await rig.record(sector)).toMatchObject({ standing: 'online' })
  })
})

describe('workers, stores and the interface', () => {
  const jobs: unknown[] = []
  let rig: ManagerRig

  beforeAll(async () => {
    const stores = [
      { name: 'a', path: '/nowhere/a', capacityBytes: 5_000, meta: { tier: 'cold' } },
      { name: 'b', path: '/nowhere/b', capacityBytes: 9_000 },
    ]
    const miners = [
      { id: 2_000, sectorSize: '2KiB', enabled: false },
      { id: 1_000, sectorSize: '2KiB', initialNumber: 50 },
    ]
    rig = await ManagerRig.create({
      config: { miners, stores, policy: { pingIntervalMs: 60_000, verifyContent: false } },
      jobs: {
        allocate: async (...given) => {
          jobs.push(['allocate', ...given])
          return []
        },
        heartbeat: async (...given) => jobs.push(['heartbeat', ...given]),
        finish: async (...given) => jobs.push(['finish', ...given]),
      },
    })
  })

  afterAll(() => rig.close())

  const ping = (Dest: string, Instance?: string, Name = 'w1') =>
    rig.client.call('WorkerPing', [
      { Name, Dest, Instance, Summary: { Threads: 3, Empty: 1, Paused: 2, Errors: 1 } },
    ])

  it('a name belongs to one worker at a time', async () => {
    await ping('10.0.0.1:17890', 'i1')
    await ping('10.0.0.1:17890', 'i1')
    await expect(ping('10.0.0.2:17890', 'i2')).rejects.toThrow('belongs to 10.0.0.1:17890')
    // A restart has another instance at the same place; two of them at once do not.
    await ping('10.0.0.1:17890', 'i3')
    await expect(ping('10.0.0.1:17890', 'i1')).rejects.toThrow('another name')
    await ping('10.0.0.1:17890', 'i3')
    await expect(ping('', 'i1', 'w2')).rejects.toThrow('its Dest')
    const response = await fetch(`${rig.url}/sealing/workers`)
    expect(await response.json()).toMatchObject({
      workers: [{ name: 'w1', dest: '10.0.0.1:17890', threads: 3, paused: 2 }],
    })
  })

  it('after three intervals of silence a name is free; one that is removed is forgotten', async () => {
    await ping('10.0.0.5:1', 'x', 'quiet')
    await rig.node.client.patch('sealing-worker/quiet', { lastPing: Date.now() - 181_000 })
    await ping('10.0.0.6:1', 'y', 'quiet')
    const at = `${rig.url}/sealing/workers/quiet`
    expect(await (await fetch(at)).json()).toMatchObject({ dest: '10.0.0.6:1' })
    expect((await fetch(at, { method: 'DELETE' })).status).toBe(200)
    expect((await fetch(at)).status).toBe(404)
  })

  it('room is kept for a sector once, in the store with most of it, and none where there is none', async () => {
    const [one, two, three] = [await rig.allocate(), await rig.allocate(), await rig.allocate()]
    const reserve = (sector: typeof one, size: number, names = ['a', 'b']) =>
      rig.client.call('StoreReserveSpace', [sector.ID, size, names])
    expect(await reserve(one, 4_500)).toMatchObject({ Name: 'b' })
    expect(await reserve(one, 4_500)).toMatchObject({ Name: 'b' })
    expect(await reserve(two, 4_800)).toEqual({
      Name: 'a',
      Path: '/nowhere/a',
      Meta: { tier: 'cold' },
    })
    expect(await reserve(three, 4_600)).toBeNull()
    expect(await reserve(three, 4_500, ['b'])).toMatchObject({ Name: 'b' })
    await expect(reserve(three, 1, ['x'])).rejects.toThrow('knows none of the stores x')
    expect(await rig.client.call('StoreBasicInfo', ['x'])).toBeNull()
    expect(await rig.client.call('StoreBasicInfo', ['b'])).toMatchObject({ Path: '/nowhere/b' })
    const { out } = await rig.troupe(['sealing', 'stores', 'list'])
    expect(out).toContain('b      8.8KiB  8.8KiB    0B      /nowhere/b (not seen by this node)')
    // What the manager does not see is taken as it is said.
    expect(await rig.client.call('SubmitPersistedEx', [one.ID, 'b', false])).toBe(true)
    expect(await rig.record(one)).toMatchObject({ persisted: { checked: false } })
  })

  it('numbers begin where they should, and not of a miner that is off', async () => {
    const sector = await rig.allocate()
    expect(sector.ID.Miner).toBe(1_000)
    expect(sector.ID.Number).toBeGreaterThanOrEqual(50)
    const off = { ...SPEC, AllowedMiners: [2_000] }
    expect(await rig.client.call('AllocateSector', [off as typeof SPEC])).toBeNull()
    // Of other processors than ours nobody here can tell.
    expect(await rig.preCommit(sector, { commD: base64('z') })).toBe('Accepted')
  })

  it('jobs of proofs of spacetime go to who keeps them', async () => {
    await rig.client.call('WdPoStAllocateJobs', [SPEC, 1, 'w1'], { taskId: 't/1' })
    await rig.client.call('WdPoStHeartbeatJobs', [['j'], 'w1'])
    await rig.client.call('WdPoStFinishJob', ['j', { Id: [1] }, ''])
    expect(jobs).toEqual([
      ['allocate', SPEC, 1, 'w1', 't%2F1'],
      ['heartbeat', ['j'], 'w1'],
      ['finish', 'j', { Id: [1] }, ''],
    ])
  })

  it('JSON-RPC: what cannot be read, is not there or is not wanted, each with its code', async () => {
    const code = async (body: string) => {
      const answer = (await rig.raw(body)) as { error?: { code: number; message: string } }
      return answer.error?.code
    }
    const call = (method: string, params: unknown, id: unknown = 1) =>
      JSON.stringify({ jsonrpc: '2.0', id, method, params })
    expect(await code('{')).toBe(-32_700)
    expect(await code('[]')).toBe(-32_600)
    expect(await code('{"method":"Venus.WorkerPing"}')).toBe(-32_600)
    expect(await code(call('Venus.Nothing', []))).toBe(-32_601)
    expect(await code(call('AllocateSector', []))).toBe(-32_601)
    expect(await code(call('Venus.WaitSeed', [{ Miner: 'x' }]))).toBe(-32_602)
    expect(await code(call('Venus.WaitSeed', {}))).toBe(-32_602)
    const unknown = { Miner: 1, Number: 2 }
    // What a newer worker adds is left out.
    expect(await code(call('Venus.WaitSeed', [unknown, 5]))).toBe(11_001)
    expect(await rig.raw('{"jsonrpc":"2.0","method":"Venus.StoreBasicInfo","params":["b"]}')).toBe(
      204,
    )
    const one = call('Venus.StoreBasicInfo', ['x'], 'a')
    const batch = await rig.raw(`[${one},${call('Venus.Nothing', [], 2)}]`)
    expect(batch).toMatchObject([
      { id: 'a', result: null },
      { id: 2, error: { code: -32_601 } },
    ])
    // Deeper than anybody reads: an answer to this call, and to no other.
    const deep = `${'['.repeat(100_000)}${']'.repeat(100_000)}`
    const nested = `{"jsonrpc":"2.0","id":3,"method":"Venus.WaitSeed","params":[${deep}]}`
    expect(await rig.raw(`[${one},${nested}]`)).toMatchObject([
      { id: 'a', result: null },
      { id: 3, error: { code: 1 } },
    ])
    expect(await code(`[${Array(101).fill(one).join(',')}]`)).toBe(-32_600)
  })

  it('where there is no manager, every answer says how to have one', async () => {
    const off = await ManagerRig.create({ off: true })
    try {
      const client = new ManagerClient({ address: `${off.url}${RPC_PATH}` })
      const thrown = await client.call('AllocateSector', [SPEC]).catch((error: unknown) => error)
      expect(thrown).toBeInstanceOf(ManagerRefusal)
      expect(String(thrown)).toContain('apps.sealing.manager')
      const { code, err } = await off.troupe(['sealing', 'sectors', 'list'])
      expect({ code, err }).toMatchObject({ code: 5, err: expect.stringContaining('apps.sealing') })
    } finally {
      await off.close()
    }
  })
})
