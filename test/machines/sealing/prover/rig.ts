/** A folder and the stages, run in this process: what tests of the prover seal with. */
import { randomBytes } from 'node:crypto'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { z } from 'zod'
import type { SealClaim } from '../../../../machines/sealing/prover/index.ts'
import { runStage } from '../../../../machines/sealing/prover/stages.ts'
import {
  type ProverStage,
  parseTask,
  type TASKS,
} from '../../../../machines/sealing/prover/tasks.ts'
import { sealProofOfSize } from '../../../../machines/sealing/venus/index.ts'

export type RawTask<TStage extends ProverStage> = z.input<(typeof TASKS)[TStage]>

/** As a worker would: checked, then run. */
export async function perform<TStage extends ProverStage, TOutput = Record<string, string>>(
  stage: TStage,
  task: RawTask<TStage>,
  seen: string[] = [],
): Promise<TOutput> {
  const report = (done: number, of: number, what: string) => seen.push(`${what} ${done}/${of}`)
  return (await runStage(stage, parseTask(stage, task), report)) as TOutput
}

export interface PieceInfo {
  commitment: string
  size: number
}

export const NAMES = { prover_id: 'a1'.repeat(32), sector_id: 7, ticket: 'b2'.repeat(32) }
export const SEED = 'c3'.repeat(32)
export const MINER = 1_000

export class Sector {
  readonly folder = mkdtempSync(join(tmpdir(), 'troupe-prover-'))
  readonly proof: string
  readonly sizeBytes: number
  readonly staged = this.at('staged')
  readonly cache = this.at('cache')
  readonly sealed = this.at('sealed')
  pieces: PieceInfo[] = []
  pc2out = { comm_r: '', comm_d: '' }

  constructor(size = '2KiB') {
    const { name, sizeBytes } = sealProofOfSize(size)
    this.proof = name
    this.sizeBytes = sizeBytes
  }

  at(name: string): string {
    return join(this.folder, name)
  }

  /** One piece that fills the sector. */
  async addPieces(payload = randomBytes((this.sizeBytes / 128) * 127)): Promise<void> {
    writeFileSync(this.at('piece'), payload)
    this.pieces = await perform('add_pieces', {
      seal_proof_type: this.proof,
      pieces: [
        {
          piece_file: { local: this.at('piece') },
          payload_size: payload.length,
          piece_size: this.sizeBytes,
        },
      ],
      staged_filepath: this.staged,
    })
  }

  async addNothing(): Promise<void> {
    const piece = { piece_file: 'pledge' as const, payload_size: 0, piece_size: this.sizeBytes }
    this.pieces = await perform('add_pieces', {
      seal_proof_type: this.proof,
      pieces: [piece],
      staged_filepath: this.staged,
    })
  }

  pc1Task(): RawTask<'pc1'> {
    return {
      registered_proof: this.proof,
      cache_path: this.cache,
      in_path: this.staged,
      out_path: this.sealed,
      ...NAMES,
      piece_infos: this.pieces,
    }
  }

  async seal(): Promise<void> {
    const pc1out = await perform('pc1', this.pc1Task())
    const task = { pc1out, cache_dir: this.cache, sealed_file: this.sealed }
    this.pc2out = await perform('pc2', task as unknown as RawTask<'pc2'>)
  }

  c1Task(): RawTask<'c1'> {
    return {
      registered_proof: this.proof,
      cache_dir: this.cache,
      sealed_file: this.sealed,
      ...NAMES,
      seed: SEED,
      pc2out: this.pc2out,
      piece_infos: this.pieces,
    }
  }

  async prove(): Promise<string> {
    const { prover_id, sector_id } = NAMES
    const c1out = (await perform('c1', this.c1Task())) as unknown as RawTask<'c2'>['c1out']
    const { proof } = await perform('c2', { c1out, prover_id, sector_id, miner_id: MINER })
    return proof!
  }

  claim(proof: string): SealClaim {
    const { comm_r, comm_d } = this.pc2out
    return { registered_proof: this.proof, ...NAMES, seed: SEED, comm_r, comm_d, proof }
  }

  remove(): void {
    rmSync(this.folder, { recursive: true, force: true })
  }
}

/** With one bit of one byte another. */
export function flipped(bytes: Uint8Array, at: number): Buffer {
  const copy = Buffer.from(bytes)
  copy[at]! ^= 1 << (at % 8)
  return copy
}
