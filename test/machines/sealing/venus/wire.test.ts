/** The form on the wire: as other programs of the family write it, there and back. */
import { expect, it } from 'vitest'
import {
  cidOfCommitment,
  commitmentOfCid,
  decodeParams,
  decodeResult,
  encodeParams,
  encodeResult,
  VENUS_CALLS,
} from '../../../../machines/sealing/venus/index.ts'

const bytes = (value: number) => Array<number>(32).fill(value)
const base64 = (value: number) => Buffer.alloc(32, value).toString('base64')
const hex = 'ab'.repeat(32)
const ID = { Miner: 1_000, Number: 7 }
const sector = { ID, ProofType: 8 }

it('commitments are CIDs elsewhere', () => {
  // The data commitment of an empty sector of 2 KiB, as a chain shows it.
  const cid = 'baga6ea4seaqpy7usqklokfx2vxuynmupslkeutzexe2uqurdg5vhtebhxqmpqmy'
  const commitment = 'fc7e928296e516faade986b28f92d44a4f24b935485223376a799027bc18f833'
  expect(cidOfCommitment(commitment)).toBe(cid)
  expect(commitmentOfCid(cid)).toBe(commitment)
  expect(commitmentOfCid('bafy2bzacedp')).toBe('bafy2bzacedp')
  expect(cidOfCommitment('bafy2bzacedp')).toBe('bafy2bzacedp')
})

it('a precommit: lists of numbers there, base64 here; deals of old workers are left out', () => {
  const wire = [
    sector,
    { CommR: bytes(1), CommD: bytes(2), Ticket: { Ticket: base64(3), Epoch: 4 }, Deals: [9] },
    false,
  ]
  const here = decodeParams('SubmitPreCommit', wire, 3)
  const read = VENUS_CALLS.SubmitPreCommit.params.parse(here)
  expect(read[1]).toEqual({
    CommR: base64(1),
    CommD: base64(2),
    Ticket: { Ticket: base64(3), Epoch: 4 },
  })
  expect(encodeParams('SubmitPreCommit', read)).toEqual([
    sector,
    { CommR: bytes(1), CommD: bytes(2), Ticket: { Ticket: base64(3), Epoch: 4 } },
    false,
  ])
})

it('a deal: its payload stands beside the piece there', () => {
  const wire = [
    {
      ID: 5,
      PayloadSize: 1_000,
      Piece: { Size: 1_024, Offset: 0, Cid: { '/': cidOfCommitment(hex) } },
      Proposal: null,
    },
  ]
  const read = VENUS_CALLS.AcquireDeals.result.parse(decodeResult('AcquireDeals', wire))
  expect(read).toEqual([{ ID: 5, Piece: { Size: 1_024, PayloadSize: 1_000, Cid: hex } }])
  expect(encodeResult('AcquireDeals', read)).toEqual([
    {
      ID: 5,
      PayloadSize: 1_000,
      Piece: { Size: 1_024, Offset: 0, Cid: { '/': cidOfCommitment(hex) } },
    },
  ])
  expect(VENUS_CALLS.AcquireDeals.result.parse(decodeResult('AcquireDeals', null))).toEqual([])
})

it('an upgrade: other names for the new commitments, links for the pieces', () => {
  const proof = {
    Proof: base64(1),
    Pieces: [hex],
    NewCommR: base64(2),
    NewCommD: base64(3),
    AccessInstance: 's',
  }
  const wire = encodeParams('SubmitSnapUpProof', [ID, proof])
  expect(wire).toEqual([
    ID,
    {
      Proof: base64(1),
      Pieces: [{ '/': cidOfCommitment(hex) }],
      CommR: bytes(2),
      CommD: bytes(3),
      AccessInstance: 's',
    },
  ])
  const here = VENUS_CALLS.SubmitSnapUpProof.params.parse(
    decodeParams('SubmitSnapUpProof', wire, 2),
  )
  expect(here).toEqual([ID, proof])
})

it('a piece to be unsealed: sizes without padding there', () => {
  const wire = {
    Sector: sector,
    PieceCid: { '/': cidOfCommitment(hex) },
    Offset: 127,
    Size: 254,
    Ticket: { Ticket: base64(1), Epoch: 1 },
    CommD: bytes(2),
    PrivateInfo: { AccessInstance: 's' },
  }
  const here = VENUS_CALLS.AllocateUnsealSector.result.parse(
    decodeResult('AllocateUnsealSector', wire),
  )
  expect(here).toMatchObject({ PieceCid: hex, Offset: 128, Size: 256, CommD: base64(2) })
  expect(encodeResult('AllocateUnsealSector', here)).toEqual(wire)
  const params = encodeParams('AchieveUnsealSector', [ID, hex, 'why'])
  expect(params).toEqual([ID, { '/': cidOfCommitment(hex) }, 'why'])
  expect(decodeParams('AchieveUnsealSector', params, 3)).toEqual([ID, hex, 'why'])
})

it('a job of a proof of spacetime: of a manager that sends its id and input only', () => {
  const wire = [
    {
      Id: 'job',
      Input: {
        Sectors: [
          {
            SectorId: 7,
            CommR: bytes(1),
            Upgrade: false,
            Accesses: { CacheDir: 'c', SealedFile: 's' },
          },
        ],
        MinerId: 1_000,
        ProofType: 'StackedDRGWindow2KiBV1_2',
        Seed: bytes(2),
      },
    },
  ]
  const read = VENUS_CALLS.WdPoStAllocateJobs.result.parse(decodeResult('WdPoStAllocateJobs', wire))
  expect(read).toMatchObject([
    {
      ID: 'job',
      State: 'Running',
      Input: {
        Sectors: [{ SectorID: ID, CommR: base64(1) }],
        MinerID: 1_000,
        ProofType: 10,
        Seed: base64(2),
      },
    },
  ])
  const again = encodeResult('WdPoStAllocateJobs', read) as typeof wire
  expect(again).toMatchObject([
    {
      Id: 'job',
      Input: {
        Sectors: [{ SectorId: 7, CommR: bytes(1) }],
        MinerId: 1_000,
        ProofType: 'StackedDrgWindow2KiBV1_2',
        Seed: bytes(2),
      },
    },
  ])
  const both = VENUS_CALLS.WdPoStAllocateJobs.result.parse(
    decodeResult('WdPoStAllocateJobs', again),
  )
  expect(both).toEqual(read)
  const spec = { AllowedMiners: [1], AllowedProofTypes: [5] }
  const params = encodeParams('WdPoStAllocateJobs', [spec, 1, 'w'])
  expect(params[0]).toEqual({ AllowedMiners: [1], AllowedProofTypes: ['StackedDrgWindow2KiBV1'] })
  expect(decodeParams('WdPoStAllocateJobs', params, 3)).toEqual([spec, 1, 'w'])
})

it('a ping holds no more than a row of a list', () => {
  const Summary = { Threads: 1, Empty: 0, Paused: 0, Errors: 0 }
  const pings = (fields: object) =>
    VENUS_CALLS.WorkerPing.params.safeParse([{ Name: 'w1', Dest: 'a:1', Summary, ...fields }])
  expect(pings({ Version: '1.2.3' }).success).toBe(true)
  for (const field of ['Dest', 'Version', 'Instance']) {
    expect(pings({ [field]: 'x'.repeat(260) }).success, field).toBe(false)
  }
})

it('seeds and reports keep their form; what nobody expects passes', () => {
  const seed = { ShouldWait: false, Delay: 0, Seed: { Seed: base64(1), Epoch: 5 } }
  expect(VENUS_CALLS.WaitSeed.result.parse(decodeResult('WaitSeed', seed))).toEqual(seed)
  const report = { Id: ID, Finalized: true, AbortReason: null }
  const read = VENUS_CALLS.ReportState.result.parse(decodeResult('ReportState', report))
  expect(read).toEqual({ ID, Finalized: true, AbortReason: null })
  const output = { faults: [1], proofs: ['x'], Id: 'kept' }
  expect(decodeParams('WdPoStFinishJob', ['j', output, ''], 3)).toEqual(['j', output, ''])
  expect(decodeResult('AllocateSector', 'odd')).toBe('odd')
})
