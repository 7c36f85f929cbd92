/**
 * What a worker keeps on disk about its attempts, so that a kill -9 loses nothing.
 *
 * Decides: the names and forms of the files, the order in which they come and go, and how the runs of
 * an actor are found. Leaves to others: how lines are written (`journals.ts`), what a run itself writes
 * (`process/`), when old attempts go (`sweep.ts`).
 *
 * | path | holds | lives |
 * |---|---|---|
 * | `live/<number>` | the journal, a line for each of the three below | until the result is answered |
 * | — `intent` | task id, ticket and the id of its `task.start`, before it is sent | |
 * | — `attempt` | what `task.start` answered but the input, before it runs | |
 * | — `result` | what is reported, and under which command id; the last one counts | |
 * | `attempts/<name>/` | what the attempt's code writes; made when that first asks for it | kept when it is used |
 * | `attempts/<name>/attempt.json` | whose it is, first of all | with the directory |
 * | `attempts/<name>/journal` | the journal, once it is over | with the directory |
 * | `by-address/<address>` | the attempts that ran commands for this actor, newest last | with the last directory |
 *
 * A line that a crash left half written counts as missing, and what it was written for had not begun:
 * no intent, then the owner was not asked; no attempt, then it did not run and is asked for again
 * under the same id; no result, then nobody was told. So no file needs a rename to come into being but the
 * one by address, which also says what was there before. A crash of the process loses no whole line; what
 * has to outlive a loss of power is flushed as well. The input stays with the owner, which tells it again
 * when the attempt may go on.
 *
 * Calls are synchronous but for that flush: the files are small and in the page cache, where a call
 * takes 5-15 µs; handing it to a thread and back costs the main thread 30-60 µs (measured). A directory
 * that nobody needs would cost more than all the rest, most of it for being removed.
 */
import {
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmdirSync,
  statSync,
  unlinkSync,
  writeFileSync,
} from 'node:fs'
import { join, resolve } from 'node:path'

import type { WorkerLostPolicy } from '../machine/index.ts'
import { hashText, pack, type TaskFailure, TroupeError, unpack } from '../protocol/index.ts'
import { Journals } from './journals.ts'

/** What is known before an owner has answered. */
export interface Intent {
  taskId: string
  /** As its message carried it. */
  ticket: string
  /** The id of the `task.start` command: the same again is answered as the first time. */
  commandId: string
}

/** What `task.start` and `task.attach` answer. */
export interface StartedAttempt {
  taskId: string
  address: string
  name: string
  /** Packed. */
  input: Uint8Array
  attempt: number
  token: string
  leaseMs: number
  onWorkerLost: WorkerLostPolicy
}

export interface AttemptRecord extends Omit<StartedAttempt, 'input'> {
  /** Unix ms. */
  startedAt: number
  /** The boot in which it was started: after another one none of its processes lives. */
  bootId: string
}

/** What may run: only its record is kept here, the input with its owner. */
export interface GrantedAttempt {
  record: AttemptRecord
  input: unknown
}

export type AttemptResult =
  | { op: 'task.done'; output: unknown }
  | { op: 'task.failed'; failure: TaskFailure }

export interface StoredResult {
  commandId: string
  result: AttemptResult
}

/** What is on disk of an attempt, as far as it came. */
export interface KeptAttempt {
  record: AttemptRecord | undefined
  result: StoredResult | undefined
}

/** All lines of a journal in one. */
interface Journal {
  intent?: Intent
  attempt?: AttemptRecord
  result?: { commandId: string; op: AttemptResult['op']; body: string }
}

const FILES = { attempt: 'attempt.json', beat: 'beat' } as const
/** Files of ours, which alone are no reason to keep a directory. */
const OWN_FILES: ReadonlySet<string> = new Set(Object.values(FILES))
const KEPT_JOURNAL = 'journal'
/** File systems end names at 255 bytes. */
const POINTER_BYTES_MAX = 200
/** Runs of one actor that are found by it; what is older is cleared away unseen. */
const RUNS_PER_ADDRESS_MAX = 100

export class AttemptFiles {
  readonly attemptsDirectory: string
  readonly #journals: Journals
  readonly #pointers: string
  /** Attempts that have a directory, or may have one: those of an earlier process. */
  readonly #withDirectory = new Set<string>()

  constructor(directory: string) {
    const root = resolve(directory)
    this.attemptsDirectory = join(root, 'attempts')
    this.#journals = new Journals(join(root, 'live'))
    this.#pointers = join(root, 'by-address')
  }

  /** Makes what is missing. @throws TroupeError `store-failed`, as everything here */
  open(): void {
    guarded('prepare the directory of the worker', () => {
      this.#journals.open()
      for (const path of [this.attemptsDirectory, this.#pointers]) {
        mkdirSync(path, { recursive: true, mode: 0o700 })
      }
    })
  }

  /** What is written from now on is closed at once: nothing is left open behind it. */
  close(): void {
    this.#journals.close()
  }

  /** Whether it is there or not. */
  directoryOf(name: string): string {
    return join(this.attemptsDirectory, name)
  }

  /**
   * The directory of the attempt, for whoever writes to it. With it comes a file that says whose it is and
   * that stays the same for good: its time is when the run began.
   */
  makeDirectory(name: string, { taskId, address, attempt }: AttemptRecord): string {
    const directory = this.directoryOf(name)
    guarded('make a directory of an attempt', () => {
      this.#withDirectory.add(name)
      const isNew = mkdirSync(directory, { recursive: true, mode: 0o700 }) !== undefined
      const path = join(directory, FILES.attempt)
      if (isNew || readJson(path) === undefined)
        put(path, JSON.stringify({ taskId, address, attempt }))
    })
    return directory
  }

  /** Of the actor for which the directory was made, if it is there and was not cut off that moment. */
  addressOf(name: string): string | undefined {
    const path = join(this.directoryOf(name), FILES.attempt)
    return guarded('read whose an attempt is', () => readJson<{ address?: string }>(path)?.address)
  }

  /** The file that stands for the heartbeats that the owner accepted; see `run-process.ts`. */
  beatFileOf(name: string): string {
    return join(this.attemptsDirectory, name, FILES.beat)
  }

  /** Attempts that have not come to their end, as they were left by an earlier process. */
  live(): { name: string; intent: Intent }[] {
    return guarded('list live attempts', () => {
      const found: { name: string; intent: Intent }[] = []
      for (const name of this.#journals.names()) {
        const { intent } = this.#journalOf(name)
        if (intent === undefined) {
          this.forget(name)
          continue
        }
        this.#withDirectory.add(name)
        found.push({ name, intent })
      }
      return found
    })
  }

  isLive(name: string): boolean {
    return this.#journals.has(name)
  }

  writeIntent(name: string, intent: Intent): void {
    guarded('write an intent', () => this.#journals.begin(name, { intent } satisfies Journal))
  }

  /** The task was not started: as if it had never come. */
  forget(name: string): void {
    guarded('forget an attempt', () => this.#journals.remove(name))
    this.#withDirectory.delete(name)
  }

  /** Resolves when the record will outlive what it has to outlive. */
  async writeAttempt(name: string, record: AttemptRecord): Promise<void> {
    try {
      this.#journals.append(name, { attempt: record } satisfies Journal)
      // Under `rerun` a lost record costs nothing: the lease ends, and another attempt begins.
      if (record.onWorkerLost !== 'rerun') await this.#journals.flush(name)
    } catch (cause) {
      refuse('write an attempt', cause)
    }
  }

  writeResult(name: string, { commandId, result }: StoredResult): void {
    const value = result.op === 'task.done' ? result.output : result.failure
    const body = Buffer.from(pack(value)).toString('base64')
    const line: Journal = { result: { commandId, op: result.op, body } }
    guarded('write a result', () => this.#journals.append(name, line))
  }

  read(name: string): KeptAttempt {
    return guarded('read an attempt', () => {
      const { attempt, result } = this.#journalOf(name)
      return { record: attempt, result: result && storedResult(result) }
    })
  }

  #journalOf(name: string): Journal {
    return Object.assign({}, ...this.#journals.read(name)) as Journal
  }

  /**
   * The attempt is over and answered for. A directory that nobody wrote anything to is removed; the attempt
   * is no longer live before that: who found it live would go on with it, without what it had written.
   */
  retire(name: string): void {
    if (!this.#withDirectory.has(name)) return this.forget(name)
    guarded('remove an attempt', () => {
      const directory = this.directoryOf(name)
      const names = existsSync(directory) ? readdirSync(directory) : undefined
      if (names?.some((one) => !OWN_FILES.has(one))) {
        // This also gives the directory the time of the end, by which it is cleared away.
        this.#journals.moveTo(name, join(directory, KEPT_JOURNAL))
      } else {
        this.#journals.remove(name)
        for (const one of names ?? []) unlinkSync(join(directory, one))
        if (names !== undefined) rmdirSync(directory)
      }
      this.#withDirectory.delete(name)
    })
  }

  /**
   * The attempt is the newest run of the address from now on.
   * @param number by which it is found; of two with the same the newer one counts
   */
  point(address: string, name: string, number: number): void {
    const others = this.#pointedAt(address).filter((run) => run.name !== name)
    this.#writePointer(address, [...others, { name, number }].slice(-RUNS_PER_ADDRESS_MAX))
  }

  /** What is still there of the runs of an actor, oldest first. */
  runs(address: string): KeptRun[] {
    return this.#pointedAt(address)
      .map(({ name, number }) => ({ number, directory: this.directoryOf(name) }))
      .filter(({ directory }) => existsSync(directory))
  }

  /** The directory of the attempt that ran a command for this actor last, if it is still there. */
  latest(address: string): string | undefined {
    const name = this.#pointedAt(address).at(-1)?.name
    if (name === undefined) return undefined
    const directory = this.directoryOf(name)
    return existsSync(directory) ? directory : undefined
  }

  /** The number by which a run is found. */
  numberOf(address: string, name: string): number | undefined {
    return this.#pointedAt(address).find((run) => run.name === name)?.number
  }

  /** After a directory was removed. */
  dropPointer(address: string, name: string): void {
    const runs = this.#pointedAt(address)
    const others = runs.filter((run) => run.name !== name)
    if (others.length === runs.length) return
    if (others.length > 0) this.#writePointer(address, others)
    else guarded('remove a pointer', () => remove(this.pointerOf(address)))
  }

  #pointedAt(address: string): Pointer['runs'] {
    return guarded('read a pointer', () => readJson<Pointer>(this.pointerOf(address))?.runs ?? [])
  }

  #writePointer(address: string, runs: Pointer['runs']): void {
    guarded('write a pointer', () => {
      const path = this.pointerOf(address)
      put(path + DRAFT, JSON.stringify({ address, runs } satisfies Pointer))
      renameSync(path + DRAFT, path)
    })
  }

  /**
   * The file that names the runs of an address. An address is printable ASCII without `^`, so that its
   * slashes can become that. A long one ends in a hash; should two share it, they take turns at numbered
   * names.
   */
  pointerOf(address: string): string {
    const plain = address.replaceAll('/', '^')
    if (plain.length <= POINTER_BYTES_MAX) return join(this.#pointers, plain)
    const stem = `${plain.slice(0, POINTER_BYTES_MAX - 30)}^^${hashOf(address)}`
    for (let turn = 0; ; turn++) {
      const path = join(this.#pointers, `${stem}-${turn}`)
      const found = readJson<Pointer>(path)
      if (found === undefined || found.address === address) return path
    }
  }
}

interface Pointer {
  address: string
  /** Oldest first. */
  runs: { name: string; number: number }[]
}

/** Of no address: in theirs `^` stands for a slash, and nothing between two slashes is empty. */
const DRAFT = '^^draft'

/** A run that can be read. */
export interface KeptRun {
  /** Which of the actor's runs it is, as whoever ran it counts. */
  number: number
  directory: string
}

function put(path: string, text: string): void {
  writeFileSync(path, text, { mode: 0o600 })
}

function remove(path: string): void {
  try {
    unlinkSync(path)
  } catch (cause) {
    if (!isCode(cause, 'ENOENT')) throw cause
  }
}

/** Undefined when there is none, or only a part of one. */
function readJson<T>(path: string): T | undefined {
  // A look costs less than the error of a read that finds nothing.
  if (statSync(path, { throwIfNoEntry: false }) === undefined) return undefined
  let text: string
  try {
    text = readFileSync(path, 'utf8')
  } catch (cause) {
    if (isCode(cause, 'ENOENT')) return undefined
    throw cause
  }
  try {
    return JSON.parse(text) as T
  } catch {
    return undefined
  }
}

function storedResult({ commandId, op, body }: NonNullable<Journal['result']>): StoredResult {
  const value = unpack(Buffer.from(body, 'base64'))
  const result: AttemptResult =
    op === 'task.done' ? { op, output: value } : { op, failure: value as TaskFailure }
  return { commandId, result }
}

function guarded<T>(what: string, act: () => T): T {
  try {
    return act()
  } catch (cause) {
    refuse(what, cause)
  }
}

function refuse(what: string, cause: unknown): never {
  const why = cause instanceof Error ? cause.message : String(cause)
  throw new TroupeError('store-failed', `the worker cannot ${what}: ${why}`, { cause })
}

function isCode(thrown: unknown, code: string): boolean {
  return (thrown as NodeJS.ErrnoException).code === code
}

/** Only for file names whose content says whose they are. */
function hashOf(text: string): string {
  return hashText(text).toString(36)
}
