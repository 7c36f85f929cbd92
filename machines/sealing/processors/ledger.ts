/**
 * Which children live, on disk, so that those of a daemon that was killed are ended by the next one: a
 * foreign child may go on with its task, and write into a sector that others work on by then.
 *
 * Decides: one small file per lane, replaced as a whole, written before the child gets its first task,
 * removed when nothing of the child runs any more; and that children of a daemon that still lives are
 * not touched. No fsync: after a loss of power the children are gone as well.
 */
import { mkdirSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { z } from 'zod'
import {
  type Clock,
  groupLives,
  type Log,
  type ProcessIdentity,
  processIdentityOf,
  processLives,
  signalGroup,
  TroupeError,
} from '../../../src/index.ts'
import { wordsOf } from './errors.ts'

/** Every child's environment has it, and so have the processes that the child starts. */
const PROOF_VARIABLE = 'SEALING_PROCESSOR'

/** What of it proves that a process is of a child with this proof. */
export function proofEntry(proof: string): string {
  return `${PROOF_VARIABLE}=${proof}`
}

/** For the environment of a child. */
export function proofVariable(proof: string): Record<string, string> {
  return { [PROOF_VARIABLE]: proof }
}

const LOOK_MS = 20
/** A process that cannot be killed (it waits for a disk that is gone) is told of this often. */
const COMPLAINT_MS = 10_000
const SUFFIX = '.child.json'

const mark = z.object({ pid: z.int().min(2), startTicks: z.int().min(0), bootId: z.string() })
const entry = z.object({
  lane: z.string(),
  child: mark,
  /** What the environment of the child holds; see `proofVariable`. */
  proof: z.string().min(16),
  /** The control group that was made for it. */
  cgroup: z.string().nullable(),
  /** The daemon that started it. */
  daemon: mark.extend({ pid: z.int().min(1) }),
})
export type LedgerEntry = Omit<z.infer<typeof entry>, 'daemon'>

interface Leftover {
  file: string
  entry: z.infer<typeof entry>
}

export interface LedgerDeps {
  directory: string
  clock: Clock
  log: Log
  /** Called for the control group of a leftover when the leftover is gone. */
  onGroupFree: (cgroup: string) => void
}

export class Ledger {
  readonly #deps: LedgerDeps
  readonly #daemon: ProcessIdentity

  constructor(deps: LedgerDeps) {
    this.#deps = deps
    const self = processIdentityOf(process.pid)
    if (self === undefined) {
      const why = 'children cannot be told apart from other processes: /proc is not mounted'
      throw new TroupeError('invalid-config', why)
    }
    this.#daemon = self
  }

  write(written: LedgerEntry): void {
    const path = this.#pathOf(written.lane)
    const draft = `${path}.draft`
    writeFileSync(draft, JSON.stringify({ ...written, daemon: this.#daemon }), { mode: 0o600 })
    renameSync(draft, path)
  }

  remove(lane: string): void {
    rmSync(this.#pathOf(lane), { force: true })
  }

  /**
   * Kills what an earlier life left; resolves when nothing of it runs any more, or `isStopped`.
   * @throws TroupeError `conflict` when the daemon of an entry still lives
   */
  async endLeftovers(isStopped: () => boolean): Promise<void> {
    mkdirSync(this.#deps.directory, { recursive: true, mode: 0o700 })
    const leftovers = this.#leftovers()
    const rival = leftovers.find(({ entry: { daemon } }) => processLives(daemon))
    if (rival !== undefined) {
      const { daemon, lane } = rival.entry
      const why = `the daemon of pid ${daemon.pid} uses ${this.#deps.directory} for its child ${lane}: stop it first, or give this one a directory of its own`
      throw new TroupeError('conflict', why)
    }
    await Promise.all(leftovers.map((leftover) => this.#end(leftover, isStopped)))
  }

  async #end({ file, entry: { lane, child, proof, cgroup } }: Leftover, isStopped: () => boolean) {
    const { clock, log } = this.#deps
    const ours = proofEntry(proof)
    if (groupLives(child, ours)) {
      log.warn({ lane, pid: child.pid }, 'a child of an earlier life still runs and is killed')
    }
    let complainsAt = clock.monotonic() + COMPLAINT_MS
    while (groupLives(child, ours)) {
      if (isStopped()) return
      signalGroup(child, ours, 'SIGKILL')
      if (clock.monotonic() >= complainsAt) {
        log.error({ lane, pid: child.pid }, 'a child of an earlier life cannot be killed')
        complainsAt += COMPLAINT_MS
      }
      await new Promise<void>((resolve) => clock.after(LOOK_MS, resolve))
    }
    if (cgroup !== null) this.#deps.onGroupFree(cgroup)
    rmSync(file, { force: true })
  }

  #leftovers(): Leftover[] {
    const files = readdirSync(this.#deps.directory).filter((name) => name.endsWith(SUFFIX))
    return files.flatMap((name) => {
      const file = join(this.#deps.directory, name)
      try {
        return [{ file, entry: entry.parse(JSON.parse(readFileSync(file, 'utf8'))) }]
      } catch (thrown) {
        // It was never written like this by us: nothing says which process is meant.
        this.#deps.log.error({ file, error: wordsOf(thrown) }, 'an entry of children is unreadable')
        return []
      }
    })
  }

  #pathOf(lane: string): string {
    return join(this.#deps.directory, `${lane}${SUFFIX}`)
  }
}
