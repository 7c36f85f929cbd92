/**
 * Broken copies of the journaled commit path: its sources with one rule taken out, compiled by the
 * test runner like the originals. For tests that show that a missing rule is noticed.
 */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath, pathToFileURL } from 'node:url'
import {
  MemoryJournalServer,
  MemoryStore,
  type MemoryStoreOptions,
} from '../../src/adapters/memory/index.ts'
import type { JournalWrite, StoreTransaction } from '../../src/ports/index.ts'
import { type Parts, REAL } from './journaled-nodes.ts'

const SHARD_ROOM = fileURLToPath(new URL('../../src/shard/', import.meta.url))
const FILES = ['journaled-commit', 'lost-chain', 'taking', 'tail', 'slot-reader', 'slot-records']

export interface Mutation {
  file: string
  /** Occurs exactly once. */
  replace: string
  by: string
}

/** The real parts, but for a commit path that lacks something. */
export async function mutated(mutations: readonly Mutation[]): Promise<Parts> {
  const folder = mkdtempSync(join(tmpdir(), 'troupe-mutant-'))
  try {
    for (const file of FILES) {
      let text = readFileSync(join(SHARD_ROOM, `${file}.ts`), 'utf8')
      for (const { replace, by } of mutations.filter((one) => one.file === file)) {
        if (text.split(replace).length !== 2) throw new Error(`not once in ${file}.ts: ${replace}`)
        text = text.replace(replace, () => by)
      }
      writeFileSync(join(folder, `${file}.ts`), withAbsoluteImports(text))
    }
    const path = join(folder, 'journaled-commit.ts')
    const module = (await import(/* @vite-ignore */ pathToFileURL(path).href)) as Partial<Parts>
    if (!module.JournaledCommit) throw new Error('the mutant has no commit path')
    return { ...REAL, JournaledCommit: module.JournaledCommit }
  } finally {
    rmSync(folder, { recursive: true })
  }
}

/** The mutated files import each other; everything else is the original. */
function withAbsoluteImports(text: string): string {
  return text.replace(/from '(\.{1,2}\/[^']+)'/g, (whole, path: string) => {
    const own = FILES.some((file) => path === `./${file}.ts`)
    return own ? whole : `from '${join(SHARD_ROOM, path)}'`
  })
}

/** A server that takes every write; a slot that exists stays as it is. */
class RefusesNothing extends MemoryJournalServer {
  override write(request: JournalWrite): number | undefined {
    const afterSequence = endOf(this, request.shard)
    if (this.read(request.shard, request.slot).kind === 'found') return afterSequence
    return super.write({ ...request, afterSequence })
  }
}

/** A server that knows one of the two conditions only. */
class CreatesOnly extends MemoryJournalServer {
  override write(request: JournalWrite): number | undefined {
    return super.write({ ...request, afterSequence: endOf(this, request.shard) })
  }
}

function endOf(server: MemoryJournalServer, shard: number): number {
  const end = server.end(shard)
  return end.kind === 'known' ? end.lastSequence : 0
}

/** A store that says flushed when it is merely visible, as `await put` of lmdb-js would. */
class HastyStore extends MemoryStore {
  override write({ flushed, visible, ...transaction }: StoreTransaction): void {
    super.write({
      ...transaction,
      visible: () => {
        visible?.()
        flushed?.()
      },
    })
  }

  override crash(options: Partial<MemoryStoreOptions> = {}): MemoryStore {
    return Object.setPrototypeOf(super.crash(options), HastyStore.prototype) as MemoryStore
  }
}

export const BROKEN_ADAPTERS: Readonly<Record<string, Partial<Parts>>> = {
  'the server refuses nothing': { Server: RefusesNothing },
  'the server creates only, wherever its stream ends': { Server: CreatesOnly },
  'the store says flushed too early': { Store: HastyStore },
}
