/**
 * What a worker keeps on disk about its attempts, so that a kill -9 loses nothing.
 *
 * Decides: the names and forms of the files, the order in which they come and go, and how the runs of
 * an actor are found. Leaves to others: what a run itself writes (`process/`), when old
 * attempts go (`sweep.ts`).
 *
 * | path | holds | lives |
 * |---|---|---|
 * | `live/<name>` | task id, ticket and the id of its `task.start`, before it is sent | until the result is answered |
 * | `attempts/<name>/attempt.json` | what `task.start` answered, before it runs | with the directory |
 * | `attempts/<name>/result.json` | what is reported, and under which command id | with the directory |
 * | `by-address/<address>` | the attempts that ran commands for this actor, newest last | with the last directory |
 *
 * A file that a crash left half written counts as missing, and what it was written for had not begun:
 * no intent, then the owner was not asked; no attempt, then it did not run and is asked for again
 * under the same id; no result, then nobody was told. So no file needs a rename but the one by address,
 * which also says what was there before. A crash of the
 * process loses no whole file; what has to outlive a loss of power is flushed as well.
 *
 * Calls are synchronous but for that flush: the files are small and in the page cache, where a call
 * takes 5-15 µs; handing it to a thread and back costs the main thread 30-60 µs (measured).
 */
import {
  closeSync,
  existsSync,
  fsync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  unlinkSync,
  writeFileSync,
} from 'node:fs'
import { join, resolve } from 'node:path'
import { promisify } from 'node:util'

import type { WorkerLostPolicy } from '../machine/index.ts'
import { hashText, pack, type TaskFailure, TroupeError, unpack } from '../protocol/index.ts'

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
  input: unknown
  attempt: number
  token: string
  leaseMs: number
  onWorkerLost: WorkerLostPolicy
}

export interface AttemptRecord extends StartedAttempt {
  /** Unix ms. */
  startedAt: number
  /** The boot in which it was started: after another one none of its processes lives. */
  bootId: string
}

export type AttemptResult =
  | { op: 'task.done'; output: unknown }
  | { op: 'task.failed'; failure: TaskFailure }

export interface StoredResult {
  commandId: string
  result: AttemptResult
}

const FILES = { attempt: 'attempt.json', result: 'result.json', beat: 'beat' } as const
/** Files of ours, which alone are no reason to keep a directory. */
const OWN_FILES: ReadonlySet<string> = new Set(Object.values(FILES))
/** File systems end names at 255 bytes. */
const POINTER_BYTES_MAX = 200
/** Runs of one actor that are found by it; what is older is cleared away unseen. */
const RUNS_PER_ADDRESS_MAX = 100

const fsyncPromised = promisify(fsync)

export class AttemptFiles {
  readonly attemptsDirectory: string
  readonly #live: string
  readonly #pointers: string

  constructor(directory: string) {
    const root = resolve(directory)
    this.attemptsDirectory = join(root, 'attempts')
    this.#live = join(root, 'live')
    this.#pointers = join(root, 'by-address')
  }

  /** Makes what is missing. @throws TroupeError `store-failed`, as everything here */
  open(): void {
    guarded('prepare the directory of the worker', () => {
      for (const path of [this.attemptsDirectory, this.#live, this.#pointers]) {
        mkdirSync(path, { recursive: true, mode: 0o700 })
      }
    })
  }

  directoryOf(name: string): string {
    return join(this.attemptsDirectory, name)
  }

  /** The file that stands for the heartbeats that the owner accepted; see `run-process.ts`. */
  beatFileOf(name: string): string {
    return join(this.attemptsDirectory, name, FILES.beat)
  }

  /** Attempts that have not come to their end, as they were left by an earlier process. */
  live(): { name: string; intent: Intent }[] {
    return guarded('list live attempts', () => {
      const found: { name: string; intent: Intent }[] = []
      for (const name of readdirSync(this.#live)) {
        const intent = readJson<Intent>(join(this.#live, name))
        if (intent === undefined) this.forget(name)
        else found.push({ name, intent })
      }
      return found
    })
  }

  isLive(name: string): boolean {
    return existsSync(join(this.#live, name))
  }

  writeIntent(name: string, intent: Intent): void {
    guarded('write an intent', () => put(join(this.#live, name), JSON.stringify(intent)))
  }

  /** The task was not started: as if it had never come. */
  forget(name: string): void {
    guarded('forget an attempt', () => remove(join(this.#live, name)))
  }

  /** Resolves when the record will outlive what it has to outlive. */
  async writeAttempt(name: string, record: AttemptRecord): Promise<void> {
    const { input, ...rest } = record
    const path = join(this.directoryOf(name), FILES.attempt)
    guarded('make an attempt', () => makeDirectory(this.directoryOf(name)))
    const text = JSON.stringify({ ...rest, input: toBase64(input) })
    try {
      // Under `rerun` a lost record costs nothing: the lease ends, and another attempt begins.
      if (record.onWorkerLost === 'rerun') put(path, text)
      else await putFlushed(path, text)
    } catch (cause) {
      refuse('write an attempt', cause)
    }
  }

  readAttempt(name: string): AttemptRecord | undefined {
    return guarded('read an attempt', () => {
      const path = join(this.directoryOf(name), FILES.attempt)
      const found = readJson<AttemptRecord & { input: string }>(path)
      return found && { ...found, input: fromBase64(found.input) }
    })
  }

  writeResult(name: string, { commandId, result }: StoredResult): void {
    const body = toBase64(result.op === 'task.done' ? result.output : result.failure)
    const path = join(this.directoryOf(name), FILES.result)
    guarded('write a result', () => put(path, JSON.stringify({ commandId, op: result.op, body })))
  }

  readResult(name: string): StoredResult | undefined {
    return guarded('read a result', () => {
      const path = join(this.directoryOf(name), FILES.result)
      const found = readJson<{ commandId: string; op: AttemptResult['op']; body: string }>(path)
      if (found === undefined) return undefined
      const { commandId, op } = found
      const body = fromBase64(found.body)
      const result: AttemptResult =
        op === 'task.done' ? { op, output: body } : { op, failure: body as TaskFailure }
      return { commandId, result }
    })
  }

  /**
   * The attempt is over and answered for. A directory that nobody wrote anything to is removed; it is
   * no longer live before that: an intent without an attempt would be asked for again, and an owner
   * that remembers its answer would have it run a second time.
   */
  retire(name: string): void {
    this.forget(name)
    const directory = this.directoryOf(name)
    guarded('remove an attempt', () => {
      const names = existsSync(directory) ? readdirSync(directory) : []
      if (names.every((one) => OWN_FILES.has(one))) {
        rmSync(directory, { recursive: true, force: true })
      }
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

/** Its parent is made by `open`; it is there already when a crash came before the record. */
function makeDirectory(path: string): void {
  try {
    mkdirSync(path, { mode: 0o700 })
  } catch (cause) {
    if (!isCode(cause, 'EEXIST')) throw cause
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

/**
 * The directories above are not flushed by themselves: file systems with a journal (ext4, xfs, btrfs)
 * put what made a new file there before it, in order. Elsewhere a loss of power may lose the record,
 * and the lease decides.
 */
async function putFlushed(path: string, text: string): Promise<void> {
  const file = openSync(path, 'w', 0o600)
  try {
    writeFileSync(file, text)
    await fsyncPromised(file)
  } finally {
    closeSync(file)
  }
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

function toBase64(value: unknown): string {
  return Buffer.from(pack(value)).toString('base64')
}

function fromBase64(text: string): unknown {
  return unpack(Buffer.from(text, 'base64'))
}

/** Only for file names whose content says whose they are. */
function hashOf(text: string): string {
  return hashText(text).toString(36)
}
