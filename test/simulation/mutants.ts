/**
 * Copies of the engine with a deliberate bug: the sources of `src/shard` and `src/cluster` with some
 * text replaced, compiled by whoever runs this, like the originals.
 *
 * Decides: that a replacement has to fit exactly once, so that a bug cannot silently be none.
 */
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath, pathToFileURL } from 'node:url'
import type { JournalWrite } from '../../src/ports/index.ts'
import { type Parts, REAL } from './parts.ts'
import { SimJournalServer } from './sim-journal.ts'

const ROOMS = fileURLToPath(new URL('../../src/', import.meta.url))
/** The engine, and the room that is built on it. */
const COPIED = ['shard', 'cluster']
/** Inside the repository, where the packages are found; `dist` is never kept. */
const WORKSHOP = fileURLToPath(new URL('../../dist/mutants/', import.meta.url))

export interface Replacement {
  /** A file of one of the rooms, without its ending. */
  file: string
  /** Occurs exactly once. */
  text: string
  by: string
}

export async function mutated(replacements: readonly Replacement[]): Promise<Parts> {
  mkdirSync(WORKSHOP, { recursive: true })
  const folder = mkdtempSync(join(WORKSHOP, 'm-'))
  const wanted = new Set(replacements)
  try {
    for (const room of COPIED) {
      mkdirSync(join(folder, room))
      for (const file of readdirSync(join(ROOMS, room))) {
        let text = readFileSync(join(ROOMS, room, file), 'utf8')
        for (const one of replacements.filter((some) => `${some.file}.ts` === file)) {
          text = replaced(text, one)
          wanted.delete(one)
        }
        writeFileSync(join(folder, room, file), withAbsoluteImports(text))
      }
    }
    if (wanted.size > 0) throw new Error(`no such file: ${[...wanted][0]!.file}`)
    const load = (room: string) =>
      import(/* @vite-ignore */ pathToFileURL(join(folder, room, 'index.ts')).href)
    const shard = (await load('shard')) as Partial<Parts>
    const { ClusterNode } = (await load('cluster')) as Partial<Parts>
    const { ShardEngine, JournaledCommit, EmbeddedCommit, ResidentBudget, serveShard } = shard
    if (!ShardEngine || !JournaledCommit || !EmbeddedCommit || !ResidentBudget || !serveShard) {
      throw new Error('the mutant lacks a part')
    }
    if (!ClusterNode) throw new Error('the mutant lacks a cluster')
    const engine = { ShardEngine, JournaledCommit, EmbeddedCommit, ResidentBudget, serveShard }
    return { ...REAL, ...engine, ClusterNode }
  } finally {
    rmSync(folder, { recursive: true })
  }
}

function replaced(source: string, { file, text, by }: Replacement): string {
  if (source.split(text).length !== 2) throw new Error(`not once in ${file}.ts: ${text}`)
  return source.replace(text, () => by)
}

/** Why the sources of today cannot be changed in this way; undefined when they can. */
export function misfit(replacement: Replacement): string | undefined {
  const file = `${replacement.file}.ts`
  const path = COPIED.map((room) => join(ROOMS, room, file)).find(existsSync)
  if (path === undefined) return `no such file: ${file}`
  try {
    replaced(readFileSync(path, 'utf8'), replacement)
    return undefined
  } catch (error) {
    return (error as Error).message
  }
}

/** The copied rooms import each other's copies; everything else is the original. */
function withAbsoluteImports(text: string): string {
  return text.replace(/from '\.\.\/([^']+)'/g, (whole, path: string) =>
    COPIED.some((room) => path === `${room}/index.ts`) ? whole : `from '${join(ROOMS, path)}'`,
  )
}

/** Takes what creates a slot, wherever its stream ends. */
export class CreatesOnly extends SimJournalServer {
  override write(request: JournalWrite): number | undefined {
    const end = this.end(request.shard)
    const afterSequence = end.kind === 'known' ? end.lastSequence : 0
    return super.write({ ...request, afterSequence })
  }
}

/** Says yes to whoever writes a slot that exists: it keeps what it has. */
export class RefusesNothing extends SimJournalServer {
  override write(request: JournalWrite): number | undefined {
    const found = this.read(request.shard, request.slot)
    return found.kind === 'found' ? found.sequence : super.write(request)
  }
}
