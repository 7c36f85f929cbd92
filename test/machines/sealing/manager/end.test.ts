/** How sectors end, what is given back, and what is done with those that are finalized; each once. */

import { mkdir, readdir, utimes, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { Pieces } from '../../../../machines/sealing/manager/pieces.ts'
import {
  type AllocatedSector,
  SUBMIT_RESULTS,
  sectorName,
} from '../../../../machines/sealing/venus/index.ts'
import { until } from '../../../waiting.ts'
import { ANY_DEALS, base64, dataCommitment, ManagerRig, MINER, SECTOR_BYTES, SPEC } from './rig.ts'

describe('the end of a sector', () => {
  let rig: ManagerRig

  beforeAll(async () => {
    rig = await ManagerRig.create()
  })

  afterAll(() => rig.close())

  const report = (sector: AllocatedSector, prev = 'Allocated', next = 'DealsAcquired') =>
    rig.client.call('ReportState', [
      sector.ID,
      {
        Worker: { Instance: 'w1', Location: '/store1' },
        StateChange: { Prev: prev, Next: next, Event: 'AcquireDeals' },
        Failure: null,
      },
    ])

  const addDeal = () =>
    rig.troupe(['sealing', 'deals', 'add', '--size', '500', '--miner', String(MINER)])

  async function free() {
    const { context } = await rig.node.client.get(`sealing-deals/${MINER}`)
    const { deals } = context as { deals: { sector: string | null }[] }
    return deals.map(({ sector }) => sector)
  }

  async function reserved() {
    const { context } = await rig.node.client.get('sealing-stores/main')
    return (context as { reservations: object }).reservations
  }

  it('a report tells how far it is; an abort that an operator asks for is told with the next one', async () => {
    const sector = await rig.allocate()
    const name = sectorName(sector.ID)
    expect(await report(sector)).toEqual({ ID: sector.ID, Finalized: false, AbortReason: null })
    const { out } = await rig.troupe(['sealing', 'sectors', 'list', '--worker', 'w1'])
    expect(out).toMatch(/s-t01000-\d+ +online +\d+s +DealsAcquired +w1/)
    const abort = ['sealing', 'sectors', 'abort', name, '--yes', '--reason']
    expect(await rig.troupe([...abort, 'disk is broken'])).toMatchObject({ code: 0 })
    expect(await rig.record(sector)).toMatchObject({ standing: 'online' })
    const told = { ID: sector.ID, Finalized: true, AbortReason: 'disk is broken' }
    // A worker that only asks is told as well.
    expect(await report(sector, 'PC1Done', 'PC1Done')).toEqual(told)
    expect(await report(sector)).toEqual(told)
    await rig.client.call('ReportAborted', [sector.ID, 'as the manager wishes'])
    await rig.client.call('ReportAborted', [sector.ID, 'again'])
    expect(await rig.record(sector)).toMatchObject({
      standing: 'aborted',
      end: { reason: 'disk is broken' },
    })
    await expect(rig.client.call('ReportFinalized', [sector.ID])).rejects.toThrow('is aborted')
    expect(await rig.preCommit(sector)).toBe('Rejected')
  })

  it('a report that changes nothing costs no commit', async () => {
    const sector = await rig.allocate()
    const before = await rig.node.client.get(`sealing-sector/${sectorName(sector.ID)}`)
    await report(sector, 'PC1Done', 'PC1Done')
    const after = await rig.node.client.get(`sealing-sector/${sectorName(sector.ID)}`)
    expect(after.turn).toBe(before.turn)
  })

  it('sectors that nobody reported for long are shown, the longest first', async () => {
    const silent = async (hours: string) => {
      const { out } = await rig.troupe(['sealing', 'sectors', 'list', '--silent', hours])
      return out.match(/s-t01000-\d+/g) ?? []
    }
    const ago = async (sector: AllocatedSector, hours: number) => {
      const heardAt = Date.now() - hours * 3_600_000
      await rig.node.client.patch(`sealing-sector/${sectorName(sector.ID)}`, { heardAt })
    }
    const [older, old] = [await rig.allocate(), await rig.allocate()]
    await ago(old, 30)
    await ago(older, 50)
    expect(await silent('29')).toEqual([older, old].map(({ ID }) => sectorName(ID)))
    expect(await silent('49')).toEqual([sectorName(older.ID)])
    const { out } = await rig.troupe(['sealing', 'sectors', 'list', '--standing', 'online'])
    expect(out).toMatch(new RegExp(`${sectorName(old.ID)} .* 1d \\(!\\)`))
    // Its worker is still at the same step, and only asks whether it should go on.
    await report(old, 'PC1Done', 'PC1Done')
    expect(await silent('1')).toEqual([sectorName(older.ID)])
  })

  it('deals and room come back from an aborted sector, and go to the next', async () => {
    await addDeal()
    const sector = await rig.allocate()
    const pieces = await rig.client.call('AcquireDeals', [sector.ID, {}])
    expect(pieces.map(({ Piece }) => Piece.Size)).toEqual([512, 512, 1_024])
    expect(pieces.map(({ ID }) => ID)).toEqual([1, 0, 0])
    expect(await rig.client.call('AcquireDeals', [sector.ID, {}])).toEqual(pieces)
    await rig.client.call('StoreReserveSpace', [sector.ID, SECTOR_BYTES, ['long']])
    expect(await free()).toEqual([sectorName(sector.ID)])
    await until(
      async () => (await rig.record(sector))['reservation'] !== null,
      { timeoutMs: 10_000 },
      'the record to know of its room',
    )
    await rig.client.call('ReportAborted', [sector.ID, 'a bad disk'])
    await until(
      async () => (await free())[0] === null && Object.keys(await reserved()).length === 0,
      { timeoutMs: 10_000 },
      'deals and room to be free',
    )
    const next = await rig.allocate()
    expect(await rig.client.call('AcquireDeals', [next.ID, {}])).toEqual(pieces)
    await expect(rig.client.call('AcquireDeals', [sector.ID, {}])).rejects.toThrow('aborted')
  })

  it('deals that a sector is given while it is aborted come back', async () => {
    const sector = await rig.allocate()
    await addDeal()
    await rig.client.call('ReportAborted', [sector.ID, 'gone'])
    // As if the two had crossed.
    const event = { sector: sectorName(sector.ID), sectorBytes: SECTOR_BYTES }
    const wish = { type: 'ACQUIRE', ...event, countMax: null, bytesMin: 0 }
    await rig.node.client.ask(`sealing-deals/${MINER}`, wish)
    await until(
      async () => !(await free()).includes(sectorName(sector.ID)),
      { timeoutMs: 10_000 },
      'the deal to be free',
    )
    const room = { sector: event.sector, sizeBytes: 1 }
    const candidates = [{ store: 'long', capacityBytes: 5, countsStored: false }]
    await rig.node.client.ask('sealing-stores/main', { type: 'RESERVE', ...room, candidates })
    await until(
      async () => !Object.hasOwn(await reserved(), event.sector),
      { timeoutMs: 10_000 },
      'the room to be free',
    )
  })

  it('a piece that no sector has room for is no deal, nor is one of an unknown miner', async () => {
    const add = (size: string, miner: string) =>
      rig.troupe(['sealing', 'deals', 'add', '--size', size, '--miner', miner])
    expect((await add('2033', String(MINER))).err).toContain('fits into no sector')
    expect(await add('10', '7')).toMatchObject({ code: 4 })
    expect(await rig.troupe(['sealing', 'deals', 'add', '--miner', '7'])).toMatchObject({ code: 2 })
  })

  it('max and min of deals are kept to', async () => {
    await addDeal()
    await addDeal()
    const sector = await rig.allocate()
    const acquire = (spec: object) => rig.client.call('AcquireDeals', [sector.ID, spec])
    expect(await acquire({ MinUsedSpace: 4_096 })).toEqual([])
    const pieces = await acquire({ MaxDeals: 1 })
    expect(pieces.filter(({ ID }) => ID !== 0)).toHaveLength(1)
  })

  it('abort --now is for a worker that is gone: it learns it should it come back', async () => {
    const sector = await rig.allocate()
    const name = sectorName(sector.ID)
    const words = ['sealing', 'sectors', 'abort', name, '--now', '--yes', '--reason', 'burnt']
    const { out } = await rig.troupe(words)
    expect(out).toContain(`${name}  aborted`)
    expect(await report(sector)).toMatchObject({ Finalized: true, AbortReason: 'burnt' })
  })

  it('finalize takes a sector as done by hand; its worker is told to let go', async () => {
    const sector = await rig.allocate()
    const name = sectorName(sector.ID)
    const words = ['sealing', 'sectors', 'finalize', name, '--yes']
    expect(await rig.troupe(words)).toMatchObject({ code: 2 })
    expect(await rig.troupe([...words, '--reason', 'proved elsewhere'])).toMatchObject({ code: 0 })
    expect(await rig.record(sector)).toMatchObject({ standing: 'finalized' })
    const told = await report(sector)
    expect(told).toMatchObject({
      Finalized: true,
      AbortReason: expect.stringContaining('elsewhere'),
    })
    const abort = ['sealing', 'sectors', 'abort', name, '--yes', '--reason', 'x']
    expect(await rig.troupe(abort)).toMatchObject({ code: 5 })
  })

  it('a worker that finalized a sector and says so again is not told to abort', async () => {
    const sector = await rig.sealed()
    expect(await report(sector, 'ProofSubmitted', 'Finished')).toMatchObject({ Finalized: false })
  })
})

describe('work on finalized sectors', () => {
  let rig: ManagerRig

  beforeAll(async () => {
    rig = await ManagerRig.create()
  })

  afterAll(() => rig.close())

  const snapUp = (taskId: string) =>
    rig.client.call('AllocateSanpUpSector', [{ Sector: SPEC, Deals: ANY_DEALS }], { taskId })

  const submit = async (
    sector: { Miner: number; Number: number },
    pieces: Parameters<typeof dataCommitment>[0],
    proof = 'an upgrade',
  ) => {
    const info = {
      Proof: Buffer.from(proof).toString('base64'),
      Pieces: pieces.map(({ Piece }) => Piece.Cid),
      NewCommR: base64('n'),
      NewCommD: dataCommitment(pieces),
      AccessInstance: 'long',
    }
    const { Res } = await rig.client.call('SubmitSnapUpProof', [sector, info])
    return SUBMIT_RESULTS[Res]
  }

  it('an upgrade: a sector without deals and deals for it, once; given up, both are there again', async () => {
    const sector = await rig.sealed()
    expect(await snapUp('t1')).toBeNull()
    await rig.troupe(['sealing', 'deals', 'add', '--size', '1016', '--miner', String(MINER)])
    const got = await snapUp('t2')
    expect(got).toMatchObject({
      Sector: sector,
      Public: { CommR: base64('r') },
      Private: { AccessInstance: 'long' },
    })
    expect(await snapUp('t2')).toEqual(got)
    expect(await snapUp('t3')).toBeNull()
    await rig.client.call('ReportAborted', [sector.ID, 'no room here'])
    expect(await rig.record(sector)).toMatchObject({ standing: 'finalized', upgrade: null })
    const again = await snapUp('t4')
    expect(again?.Pieces).toEqual(got?.Pieces)
    await expect(rig.client.call('ReportFinalized', [sector.ID])).rejects.toThrow('no proof of its')
    const pieces = again?.Pieces ?? []
    expect(await submit(sector.ID, pieces)).toBe('FilesMissed')
    await rig.store(sector, 'update')
    expect(await submit(sector.ID, pieces, 'bad')).toBe('Rejected')
    expect(await submit(sector.ID, [])).toBe('Mismatched')
    expect(await submit(sector.ID, pieces)).toBe('Accepted')
    expect(await submit(sector.ID, pieces)).toBe('Accepted')
    await rig.client.call('ReportFinalized', [sector.ID])
    await rig.client.call('ReportFinalized', [sector.ID])
    expect(await rig.record(sector)).toMatchObject({
      standing: 'finalized',
      upgraded: { commR: base64('n'), deals: pieces },
    })
    expect(await submit(sector.ID, pieces)).toBe('Accepted')
    const kept = await fetch(`${rig.url}/sealing/sectors/${sectorName(sector.ID)}/proof`)
    const { proof } = (await kept.json()) as { proof: string }
    expect(Buffer.from(proof, 'base64').toString()).toBe('an upgrade')
    const { context } = await rig.node.client.get(`sealing-deals/${MINER}`)
    expect(context).toMatchObject({ deals: [] })
    await rig.troupe(['sealing', 'deals', 'add', '--size', '100', '--miner', String(MINER)])
    expect(await snapUp('t5')).toBeNull()
  })

  it('a rebuild: for one worker, with the ticket it was sealed with; done when it is finalized again', async () => {
    const sector = await rig.sealed()
    const name = sectorName(sector.ID)
    const rebuild = (taskId: string) => rig.client.call('AllocateRebuildSector', [SPEC], { taskId })
    expect(await rebuild('t1')).toBeNull()
    expect(await rig.troupe(['sealing', 'rebuild', name, '--yes'])).toMatchObject({ code: 0 })
    const got = await rebuild('t1')
    const record = await rig.record(sector)
    const { ticket } = record['preCommit'] as { ticket: object }
    expect(got).toMatchObject({ Sector: sector, Ticket: ticket, Pieces: [], IsSnapUp: false })
    expect(await rebuild('t1')).toEqual(got)
    expect(await rebuild('t2')).toBeNull()
    await rig.client.call('SubmitPersistedEx', [sector.ID, 'long', false])
    await rig.client.call('ReportFinalized', [sector.ID])
    expect(await rig.record(sector)).toMatchObject({ rebuild: null, standing: 'finalized' })
    const online = await rig.allocate()
    const refused = await rig.troupe(['sealing', 'rebuild', sectorName(online.ID), '--yes'])
    expect(refused).toMatchObject({ code: 5, err: expect.stringContaining('is not finalized') })
  })

  it('a piece comes back: where it lies and where it is wanted; bytes reach the piece store', async () => {
    await rig.troupe(['sealing', 'deals', 'add', '--size', '100', '--miner', String(MINER)])
    const sector = await rig.allocate()
    const pieces = await rig.client.call('AcquireDeals', [sector.ID, {}])
    await rig.preCommit(sector, { deals: pieces })
    await rig.lands('PollPreCommitState', sector)
    await rig.store(sector)
    await rig.client.call('SubmitPersistedEx', [sector.ID, 'long', false])
    await rig.seeded(sector)
    await rig.prove(sector)
    await rig.client.call('ReportFinalized', [sector.ID])
    const [last] = pieces.filter(({ ID }) => ID !== 0).slice(-1)
    const cid = last?.Piece.Cid ?? ''
    const name = sectorName(sector.ID)
    const ask = ['sealing', 'unseal', name, '--piece', cid]
    expect(await rig.troupe([...ask, '--to', 'ftp://x/y'])).toMatchObject({ code: 2 })
    expect(await rig.troupe([...ask, '--to', 'store:///a/b'])).toMatchObject({ code: 2 })
    const nowhere = ['sealing', 'unseal', name, '--piece', 'ab', '--to', 'store:///x']
    expect(await rig.troupe(nowhere)).toMatchObject({ code: 4 })
    expect(await rig.troupe([...ask, '--to', 'file:///out/a', 'store:///b'])).toMatchObject({
      code: 0,
    })
    const unseal = (taskId: string) => rig.client.call('AllocateUnsealSector', [SPEC], { taskId })
    const got = await unseal('t1')
    const size = last?.Piece.Size ?? 0
    const before = pieces.slice(
      0,
      pieces.findIndex(({ Piece }) => Piece.Cid === cid),
    )
    const offset = before.reduce((sum, { Piece }) => sum + Piece.Size, 0)
    expect(got).toMatchObject({ Sector: sector, PieceCid: cid, Offset: offset, Size: size })
    expect(got?.PrivateInfo.AccessInstance).toBe('long')
    expect(await unseal('t1')).toEqual(got)
    expect(await unseal('t2')).toBeNull()
    const dest = await rig.client.call('AcquireUnsealDest', [sector.ID, cid])
    expect(dest).toEqual(['file:///out/a', 'store:///b'])
    await rig.client.call('AchieveUnsealSector', [sector.ID, cid, 'the disk is full'])
    expect(await rig.record(sector)).toMatchObject({
      unseals: [],
      reports: [{ failure: { desc: 'the disk is full' } }],
    })
    expect(await rig.client.call('AcquireUnsealDest', [sector.ID, cid])).toEqual([])
  })

  it('the piece store gives what was brought, and takes no name that leads elsewhere', async () => {
    const at = `${rig.managerUrl}/piecestore/baga6ea4seaqabc`
    const put = await fetch(at, { method: 'PUT', body: 'some bytes' })
    expect(await put.json()).toEqual({ bytes: 10 })
    expect(await (await fetch(at)).text()).toBe('some bytes')
    expect((await fetch(`${rig.url}/piecestore/..%2Fholder`)).status).toBe(400)
    expect((await fetch(`${rig.url}/piecestore/none`)).status).toBe(404)
    expect((await fetch(`${rig.url}/piecestore/.drafts`)).status).toBe(400)
  })

  it('the piece store takes nothing that is larger than its sectors', async () => {
    const at = `${rig.managerUrl}/piecestore/toolarge`
    const most = 2_048
    const put = (body: Uint8Array | ReadableStream<Uint8Array>) =>
      fetch(at, { method: 'PUT', body, duplex: 'half' } as RequestInit)
    // Said beforehand, and found out on the way.
    for (const body of [new Uint8Array(most + 1), tooMuch()]) {
      const refused = await put(body)
      expect(refused.status).toBe(413)
      expect(await refused.json()).toMatchObject({
        error: { code: 'too-large', detail: { limit: 'pieceBytesMax', max: most } },
      })
    }
    expect((await fetch(at)).status).toBe(404)
    expect(await (await put(new Uint8Array(most))).json()).toEqual({ bytes: most })
  })

  it('what a node that died left of a piece goes with the next one', async () => {
    const directory = join(rig.directory, 'drafts')
    await mkdir(join(directory, '.drafts'), { recursive: true })
    for (const name of ['old', 'new']) await writeFile(join(directory, '.drafts', name), 'half')
    const before = new Date(Date.now() - 25 * 3_600_000)
    await utimes(join(directory, '.drafts', 'old'), before, before)
    await new Pieces(directory, 1_000).write('piece.car', Buffer.from('whole'))
    expect(await readdir(join(directory, '.drafts'))).toEqual(['new'])
    expect((await readdir(directory)).sort()).toEqual(['.drafts', 'piece.car'])
  })
})

/** More than any piece has; it ends, since a server that refuses it still reads it. */
function tooMuch(): ReadableStream<Uint8Array> {
  let left = 64
  return new ReadableStream({
    pull: (controller) => {
      if (left === 0) return controller.close()
      left -= 1
      controller.enqueue(new Uint8Array(1_024))
    },
  })
}
