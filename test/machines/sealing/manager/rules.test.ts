/** What needs no whole manager: its configuration, its checks, the rules of its records. */

import { createHash } from 'node:crypto'
import { afterAll, describe, expect, it } from 'vitest'
import { Allocation, type AllocationDeps } from '../../../../machines/sealing/manager/allocation.ts'
import {
  commitmentOfPiece,
  commitmentOfSector,
  managerConfig,
  proverChecks,
} from '../../../../machines/sealing/manager/index.ts'
import { LaterWork, type LaterWorkDeps } from '../../../../machines/sealing/manager/later-work.ts'
import { keepProof, keptProof, proof } from '../../../../machines/sealing/manager/proofs.ts'
import { dealAddition } from '../../../../machines/sealing/manager/route-shapes.ts'
import { sector, sectorAddress } from '../../../../machines/sealing/manager/sector.ts'
import {
  newRecord,
  REPORTS_MAX,
  type SectorRecord,
} from '../../../../machines/sealing/manager/sector-record.ts'
import { decide } from '../../../../machines/sealing/manager/sector-rules.ts'
import { Sectors } from '../../../../machines/sealing/manager/sectors.ts'
import {
  type AllocatedSector,
  type Deal,
  type SectorId,
  sealProofOf,
} from '../../../../machines/sealing/venus/index.ts'
import type { Client, Clock } from '../../../../src/index.ts'
import { open } from '../../../shard/support.ts'
import { NAMES, perform, type RawTask, SEED, Sector } from '../prover/rig.ts'

describe('the configuration', () => {
  const miner = { id: 1_000, sectorSize: '8KiB' }

  it('a miner is enough; all else has a default', () => {
    expect(managerConfig.parse({ miners: [miner] })).toEqual({
      enabled: true,
      miners: [
        {
          id: 1_000,
          proof: { number: 1_013, name: 'StackedDrg8KiBV1_1', sizeBytes: 8_192 },
          initialNumber: 0,
          enabled: true,
          enableDeals: true,
          enableSnapUp: true,
        },
      ],
      stores: [],
      policy: {
        ticketLookback: 900,
        ticketAgeMax: 2_880,
        pingIntervalMs: 30_000,
        proofsKeptMs: 90 * 86_400_000,
        verifyContent: true,
      },
    })
  })

  it.each([
    ['no miner', { miners: [] }, 'at least one miner'],
    ['a miner twice', { miners: [miner, miner] }, '1000 is there twice'],
    ['a size that there is not', { miners: [{ ...miner, sectorSize: '9KiB' }] }, 'no sector size'],
    ['a typing mistake', { miners: [{ ...miner, enable: true }] }, 'enable'],
    [
      'a store twice',
      { miners: [miner], stores: [1, 2].map((at) => ({ name: 'a', path: `/${at}` })) },
      'a is there twice',
    ],
    ['a relative path', { miners: [miner], stores: [{ name: 'a', path: 'b' }] }, 'absolute path'],
  ])('%s is refused', (_what, config, message) => {
    expect(() => managerConfig.parse(config)).toThrow(message)
  })
})

describe('the reference prover', () => {
  const sector = new Sector()
  const MINER = 300
  // 300 in seven bits a byte, the lowest first.
  const PROVER_ID = `ac02${'00'.repeat(30)}`

  afterAll(() => sector.remove())

  const base64 = (hex: string) => Buffer.from(hex, 'hex').toString('base64')

  it('its proof is valid for this sector, and for no other', async () => {
    const { pc2out, proof } = await sealed()
    const claim = {
      sector: {
        ID: { Miner: MINER, Number: NAMES.sector_id },
        ProofType: sealProofOf(sector.proof).number,
      },
      ticket: { Ticket: base64(NAMES.ticket), Epoch: 1 },
      seed: { Seed: base64(SEED), Epoch: 2 },
      commR: base64(pc2out.comm_r),
      commD: base64(pc2out.comm_d),
      proof,
    }
    expect(await proverChecks.verifyProof(claim)).toEqual({ valid: true })
    const other = { ...claim, sector: { ...claim.sector, ID: { Miner: 301, Number: 7 } } }
    expect(await proverChecks.verifyProof(other)).toMatchObject({ valid: false })
    const late = { ...claim, seed: { ...claim.seed, Seed: base64(NAMES.ticket) } }
    expect(await proverChecks.verifyProof(late)).toMatchObject({ valid: false })
    expect(commitmentOfSector([], sector.sizeBytes)).toBe(pc2out.comm_d)
    const snap = { sector: claim.sector, commROld: claim.commR, commRNew: claim.commR }
    const verdict = await proverChecks.verifySnap({ ...snap, commDNew: claim.commD, proof })
    expect(verdict).toMatchObject({ valid: false })
  })

  /** As a worker of this miner would. */
  async function sealed(): Promise<{ pc2out: Sector['pc2out']; proof: string }> {
    await sector.addNothing()
    const pc1out = await perform('pc1', { ...sector.pc1Task(), prover_id: PROVER_ID })
    const files = { cache_dir: sector.cache, sealed_file: sector.sealed }
    const pc2out = (await perform('pc2', {
      ...files,
      pc1out: pc1out as unknown as RawTask<'pc2'>['pc1out'],
    })) as Sector['pc2out']
    const c1out = await perform('c1', { ...sector.c1Task(), prover_id: PROVER_ID, pc2out })
    const { proof = '' } = await perform('c2', {
      c1out: c1out as unknown as RawTask<'c2'>['c1out'],
      prover_id: PROVER_ID,
      sector_id: NAMES.sector_id,
      miner_id: MINER,
    })
    return { pc2out, proof }
  }

  it('commits to pieces as it does, and to no sizes that it cannot make', async () => {
    const payload = Buffer.from('some data of a client')
    await sector.addPieces(payload)
    const [piece] = sector.pieces
    const commitment = commitmentOfPiece(payload, sector.sizeBytes)
    expect(commitment).toBe(piece?.commitment)
    const deal: Deal = { ID: 1, Piece: { Size: 128, Cid: commitmentOfPiece(payload, 128) } }
    // A deal alone does not fill a sector: that is no whole.
    expect(commitmentOfSector([deal], 2_048)).toBeNull()
    expect(commitmentOfSector([{ ...deal, Piece: { Size: 2_048, Cid: 'bafy' } }], 2_048)).toBeNull()
    expect(proverChecks.commitmentOfSector([], 32 * 1024 ** 3)).toBeNull()
  })
})

describe('the rules of records', () => {
  const base64 = (letter: string) => Buffer.alloc(32, letter).toString('base64')
  const ticket = { Ticket: base64('t'), Epoch: 1 }
  const fresh = newRecord({
    sector: { ID: { Miner: 1, Number: 2 }, ProofType: 5 },
    at: 1,
    task: null,
  })
  const persisted = { at: 1, store: 'long', sizeBytes: 9, checked: true }
  const done: SectorRecord = {
    ...fresh,
    standing: 'finalized',
    persisted,
    preCommit: { commR: base64('r'), commD: base64('d'), ticket },
  }
  const deal = { ID: 1, Piece: { Size: 128, Cid: 'ab'.repeat(32) } }
  const wish = {
    at: 1,
    by: 'ann',
    task: null,
    pieceCid: 'p',
    offset: 0,
    sizeBytes: 128,
    dest: ['file:///a'],
  }

  it('another precommit takes with it what followed from the one before', () => {
    const proof = { sha256: 'a', bytes: 1 }
    const seed = { Seed: base64('s'), Epoch: 2 }
    const known = { commR: base64('r'), commD: base64('d'), ticket }
    const now = { ...fresh, preCommit: known, seed, proof }
    const event = { type: 'PRE_COMMIT', ...known, commR: base64('x'), reset: true } as const
    expect(decide(now, event).next).toMatchObject({ seed: null, proof: null })
    expect(decide(now, { ...event, commR: known.commR }).next).toEqual(now)
  })

  it('an upgraded sector, one that is wanted for something else, or lies nowhere is not upgraded', () => {
    const upgrade = { type: 'UPGRADE', at: 2, task: 't' } as const
    expect(decide(done, upgrade).next.standing).toBe('upgrading')
    const upgraded = { at: 1, commR: '', commD: '', deals: [deal], proofSha256: '' }
    const rebuild = { at: 1, by: 'ann', task: null }
    const others: Partial<SectorRecord>[] = [
      { upgraded },
      { deals: [deal] },
      { rebuild },
      { unseals: [wish] },
      { persisted: null },
      { preCommit: null },
      { standing: 'online' },
      { standing: 'aborted' },
    ]
    for (const other of others) {
      expect(decide({ ...done, ...other }, upgrade).answer).toHaveProperty('refused')
    }
    const under = decide(done, upgrade).next
    expect(decide(under, { ...upgrade, task: 'u' }).answer).toHaveProperty('refused')
    expect(decide(under, { type: 'UPGRADE_OFF', task: 'u' }).next).toEqual(under)
    expect(decide(under, { type: 'UPGRADE_OFF', task: 't' }).next).toMatchObject({
      standing: 'finalized',
      upgrade: null,
    })
  })

  it('while it is upgraded the files of the sector are the old ones', () => {
    const under = decide(done, { type: 'UPGRADE', at: 2, task: 't' }).next
    const event = { type: 'PERSISTED', persisted: { ...persisted, store: 'other' } } as const
    expect(decide(under, event).next).toEqual(under)
    expect(decide(done, event).next.persisted?.store).toBe('other')
  })

  it('a rebuild or an unsealing that is given up is wanted no more; what others want stays', () => {
    const rebuild = { at: 1, by: 'ann', task: 't' }
    const taken = { ...wish, task: 'u' }
    const now = { ...done, rebuild, unseals: [taken, { ...wish, pieceCid: 'q' }] }
    const { next } = decide(now, { type: 'ABORTED', at: 3, reason: 'x' })
    expect(next).toMatchObject({
      standing: 'finalized',
      rebuild: null,
      unseals: [{ pieceCid: 'q' }],
    })
    const idle = { ...done, rebuild: { ...rebuild, task: null } }
    expect(decide(idle, { type: 'ABORTED', at: 3, reason: 'x' }).next.rebuild).not.toBeNull()
  })

  it('one piece of a sector is unsealed at a time, and a repeat is told from another', () => {
    const now = { ...done, unseals: [wish, { ...wish, pieceCid: 'q' }] }
    const taken = decide(now, { type: 'UNSEAL_TAKE', task: 't' }).next
    expect(taken.unseals.map(({ task }) => task)).toEqual(['t', null])
    expect(decide(taken, { type: 'UNSEAL_TAKE', task: 't' }).next).toEqual(taken)
    expect(decide(taken, { type: 'UNSEAL_TAKE', task: 'u' }).answer).toHaveProperty('refused')
    const again = decide(taken, { type: 'UNSEAL', unseal: wish })
    expect(again.answer).toHaveProperty('refused', 'conflict')
    const many = {
      ...done,
      unseals: Array.from({ length: 16 }, (_, at) => ({ ...wish, pieceCid: `${at}` })),
    }
    const more = decide(many, { type: 'UNSEAL', unseal: wish })
    expect(more.answer).toHaveProperty('refused', 'limit-exceeded')
    const upgraded = { at: 1, commR: '', commD: '', deals: [deal], proofSha256: '' }
    const late = decide({ ...done, upgraded }, { type: 'UNSEAL', unseal: wish })
    expect(late.answer).toHaveProperty('refused')
  })

  it('one worker has a sector at a time, to rebuild it or to unseal a piece of it', () => {
    const asked = { ...done, rebuild: { at: 1, by: 'ann', task: null }, unseals: [wish] }
    const rebuilt = decide(asked, { type: 'REBUILD_TAKE', task: 't' }).next
    expect(rebuilt.rebuild?.task).toBe('t')
    const second = decide(rebuilt, { type: 'UNSEAL_TAKE', task: 'u' })
    expect(second.answer).toHaveProperty('refused')
    const unsealed = decide(asked, { type: 'UNSEAL_TAKE', task: 'u' }).next
    const other = decide(unsealed, { type: 'REBUILD_TAKE', task: 't' })
    expect(other.answer).toHaveProperty('refused')
    const { next } = decide(rebuilt, { type: 'FINALIZED', at: 2 })
    expect(decide(next, { type: 'UNSEAL_TAKE', task: 'u' }).next.unseals[0]?.task).toBe('u')
  })

  it('what a worker that is gone had of a finalized sector can be taken from it', () => {
    const stop = { type: 'ABORT', at: 3, by: 'ann', reason: 'burnt', now: true } as const
    const rebuild = { at: 1, by: 'ann', task: 't' }
    const reservation = { store: 'long', sizeBytes: 9 }
    const freed = decide({ ...done, rebuild, reservation }, stop)
    expect(freed.next).toMatchObject({ standing: 'finalized', rebuild: null, reservation: null })
    expect(freed.messages).toHaveLength(1)
    const unseals = [{ ...wish, task: 'u' }]
    expect(decide({ ...done, unseals }, stop).next.unseals).toEqual([])
    // A worker that is there is told, also when it asks for its sector again, and may be done before.
    const told = decide({ ...done, rebuild }, { ...stop, now: false }).next
    expect(told).toMatchObject({ rebuild, stop: { reason: 'burnt' } })
    expect(decide(told, { type: 'REBUILD_TAKE', task: 't' }).next).toEqual(told)
    expect(decide(told, { type: 'FINALIZED', at: 4 }).next).toMatchObject({ stop: null })
    expect(decide({ ...done, unseals: [wish] }, stop).answer).toHaveProperty('refused')
  })

  it('nothing is unsealed of a sector of which nothing is stored', () => {
    for (const lack of [{ preCommit: null }, { persisted: null }]) {
      const { answer } = decide({ ...done, ...lack }, { type: 'UNSEAL', unseal: wish })
      expect(answer).toHaveProperty('refused', 'conflict')
    }
  })

  it('what an aborted sector submitted before is rejected too', () => {
    const proof = { sha256: 'a', bytes: 1 }
    const { preCommit } = done
    const gone = { ...done, standing: 'aborted', preCommit, proof } as const
    const { commR = '', commD = '' } = preCommit ?? {}
    const again = { type: 'PRE_COMMIT', commR, commD, ticket, reset: true } as const
    expect(decide(gone, again).answer).toMatchObject({ result: 'Rejected' })
    const proven = decide(gone, { type: 'PROOF', proof, reset: true })
    expect(proven.answer).toMatchObject({ result: 'Rejected' })
  })

  it('sectors that others may have keep no worker from its own', async () => {
    const h = open([sector])
    const sectors = new Sectors(h.client)
    const ids = [
      ...Array.from({ length: 21 }, (_, at) => ({ Miner: 1, Number: at })),
      { Miner: 2, Number: 1 },
    ]
    for (const ID of ids) {
      await h.run(sectors.begin({ sector: { ID, ProofType: 5 }, at: 1, task: null }))
      const { preCommit } = done
      await h.run(h.client.patch(sectorAddress(ID), { preCommit }))
      await h.run(sectors.apply(ID, { type: 'FINALIZE', at: 1, by: 'ann', reason: 'x' }))
      await h.run(sectors.apply(ID, { type: 'REBUILD', at: 1, by: 'ann' }))
    }
    const later = new LaterWork({ sectors } as LaterWorkDeps)
    const given = await h.run(later.rebuild({ AllowedMiners: [2], AllowedProofTypes: [] }, 't'))
    expect(given?.Sector.ID).toEqual({ Miner: 2, Number: 1 })
  })

  it('an upgrade is of a miner whose deals are good enough for it', async () => {
    const id = (Miner: number) => ({ Miner, Number: 1 })
    const events: string[] = []
    const note = async ({ Miner }: SectorId, { type }: { type: string }) => {
      events.push(`${type} ${Miner}`)
      return true
    }
    const sectors = {
      find: async () => undefined,
      async *each({ where }: { where: { miner: number } }) {
        yield { id: id(where.miner), proofType: 5 }
      },
      take: note,
      apply: note,
      record: async (ID: SectorId) => ({ ...done, sector: { ID, ProofType: 5 } }),
    }
    const acquire = async ({ ID }: AllocatedSector) => (ID.Miner === 2 ? [deal] : [])
    const later = new LaterWork({
      sectors: sectors as unknown as Sectors,
      allocation: { acquire } as unknown as Allocation,
      client: {
        get: async () => ({ context: { deals: [{ sector: null }] } }),
      } as unknown as Client,
      clock: { now: () => 1 } as Clock,
      config: managerConfig.parse({
        miners: [1, 2].map((miner) => ({ id: miner, sectorSize: '2KiB' })),
      }),
    })
    const Sector = { AllowedMiners: [], AllowedProofTypes: [] }
    const given = await later.snapUp({ Sector, Deals: { MinUsedSpace: 9 } }, 't')
    expect(given).toMatchObject({ Sector: { ID: id(2) }, Pieces: [deal] })
    expect(events).toEqual(['UPGRADE 1', 'UPGRADE_OFF 1', 'UPGRADE 2'])
  })

  it('a deal that a person adds is bounded, however its bytes come to be', () => {
    const most = 16 * 1024 * 1024
    expect(dealAddition.safeParse({ sizeBytes: most }).success).toBe(true)
    expect(dealAddition.safeParse({ sizeBytes: most + 1 }).success).toBe(false)
  })

  it('a later operation does not hear of an abort that was meant for an earlier one', () => {
    const under = decide(done, { type: 'UPGRADE', at: 2, task: 't' }).next
    const stop = { type: 'ABORT', at: 3, by: 'ann', reason: 'no', now: true } as const
    const stopped = decide(under, stop).next
    expect(stopped).toMatchObject({ standing: 'finalized', stop: { reason: 'no' } })
    const again = decide(stopped, { type: 'UPGRADE', at: 4, task: 'u' }).next
    expect(again.stop).toBeNull()
  })

  it('keeps the newest reports only', () => {
    let now: SectorRecord = fresh
    for (let at = 0; at < REPORTS_MAX + 5; at++) {
      const report = { at, worker: 'w', location: '/s', prev: 'A', next: 'B', event: 'E' }
      now = decide(now, { type: 'REPORT', report: { ...report, failure: null } }).next
    }
    expect(now.reports).toHaveLength(REPORTS_MAX)
    expect(now.reports[0]?.at).toBe(5)
  })

  it('room that a sector is told of when it needs none any more is given back', () => {
    const event = { type: 'RESERVED', store: 'long', sizeBytes: 9 } as const
    const release = { event: { type: 'RELEASE', sector: 's-t01-2', stored: null } }
    expect(decide(done, event)).toMatchObject({ next: done, messages: [release] })
    const rebuilt = { ...done, rebuild: { at: 1, by: 'ann', task: 't' } }
    expect(decide(rebuilt, event)).toMatchObject({ next: { reservation: {} }, messages: [] })
  })

  it('a proof is kept for a time', async () => {
    const h = open([proof])
    const id = { Miner: 1, Number: 2 }
    const bytes = Buffer.from('a proof')
    await h.run(keepProof(h.client, id, bytes.toString('base64'), 60_000))
    const sha256 = createHash('sha256').update(bytes).digest('hex')
    await h.advance(59_000)
    expect(await h.run(keptProof(h.client, id, sha256))).toBe(bytes.toString('base64'))
    await h.advance(1_100)
    expect(await h.run(keptProof(h.client, id, sha256))).toBeNull()
  })

  it('the record of a sector has its deals before its worker has', async () => {
    const told: unknown[] = []
    const client = {
      ask: async () => ({ pieces: [deal] }),
      send: async (to: string, event: object) => {
        told.push({ to, ...event })
        return { reply: { done: true } }
      },
    } as unknown as Client
    const deps = { client, sectors: new Sectors(client) } as AllocationDeps
    expect(await new Allocation(deps).acquire(fresh.sector, {})).toEqual([deal])
    expect(told).toEqual([{ to: 'sealing-sector/s-t01-2', type: 'DEALS', pieces: [deal] }])
  })
})
