/**
 * What a worker keeps on disk about its attempts, so that a kill -9 loses nothing.
 *
 * Decides: the names and forms of the files, the order in which they come and go, and how the newest
 * run of an actor is found. Leaves to others: what a run itself writes (`process/`), when old
 * attempts go (`sweep.ts`).
 *
 * | path | holds | lives |
 * |---|---|---|
 * | `live/<name>` | task id and the id of its `task.start`, before it is sent | until the result is answered |
 * | `attempts/<name>/attempt.json` | what `task.start` answered | with the directory |
 * | `attempts/<name>/result.json` | what is reported, and under which command id | with the directory |
 * | `attempts/<name>/ended` | marks the end; its time is the time of the end | with the directory |
 * | `by-address/<address>` | the attempt that ran a command for this actor last | with the directory |
 *
 * A file appears whole or not at all (written aside, then renamed). A crash of the process loses none;
 * what has to outlive a loss of power is flushed as well.
 */
import {
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
} from 'node:fs'
import { open, readdir, rm } from 'node:fs/promises'
import { join, resolve } from 'node:path'

import type { WorkerLostPolicy } from '../machine/index.ts'
import { pack, type TaskFailure, TroupeError, unpack } from '../protocol/index.ts'

/** What is known before an owner has answered. */
export interface Intent {
  taskId: string
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

const FILES = {
  attempt: 'attempt.json',
  result: 'result.json',
  ended: 'ended',
  beat: 'beat',
} as const
/** Files of ours, which alone are no reason to keep a directory. */
const OWN_FILES: ReadonlySet<string> = new Set(Object.values(FILES))
/** File systems end names at 255 bytes. */
const POINTER_BYTES_MAX = 200

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

  /** Makes what is missing. @throws TroupeError `store-failed` */
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
    return guarded('list live attempts', () =>
      readdirSync(this.#live).flatMap((name) => {
        const intent = readJson<Intent>(join(this.#live, name))
        return intent === undefined ? [] : [{ name, intent }]
      }),
    )
  }

  isLive(name: string): boolean {
    return existsSync(join(this.#live, name))
  }

  writeIntent(name: string, intent: Intent): void {
    guarded('write an intent', () => put(join(this.#live, name), JSON.stringify(intent)))
  }

  /** The task was not started: as if it had never come. */
  forget(name: string): void {
    guarded('forget an attempt', () => rmSync(join(this.#live, name), { force: true }))
  }

  async writeAttempt(name: string, record: AttemptRecord): Promise<void> {
    const { input, ...rest } = record
    const directory = this.directoryOf(name)
    const text = JSON.stringify({ ...rest, input: toBase64(input) })
    guarded('write an attempt', () => {
      mkdirSync(directory, { recursive: true, mode: 0o700 })
      put(join(directory, FILES.attempt), text)
    })
    // Under `rerun` a lost record costs nothing: the lease ends, and another attempt begins.
    if (record.onWorkerLost === 'rerun') return
    await flush(join(directory, FILES.attempt))
    await Promise.all([directory, this.attemptsDirectory, this.#live].map(flush))
  }

  readAttempt(name: string): AttemptRecord | undefined {
    const path = join(this.directoryOf(name), FILES.attempt)
    const found = guarded('read an attempt', () =>
      readJson<AttemptRecord & { input: string }>(path),
    )
    return found && { ...found, input: fromBase64(found.input) }
  }

  writeResult(name: string, { commandId, result }: StoredResult): void {
    const body = toBase64(result.op === 'task.done' ? result.output : result.failure)
    guarded('write a result', () => {
      const path = join(this.directoryOf(name), FILES.result)
      put(path, JSON.stringify({ commandId, op: result.op, body }))
    })
  }

  readResult(name: string): StoredResult | undefined {
    const path = join(this.directoryOf(name), FILES.result)
    const found = guarded('read a result', () =>
      readJson<{ commandId: string; op: AttemptResult['op']; body: string }>(path),
    )
    if (found === undefined) return undefined
    const { commandId, op } = found
    const body = fromBase64(found.body)
    const result: AttemptResult =
      op === 'task.done' ? { op, output: body } : { op, failure: body as TaskFailure }
    return { commandId, result }
  }

  /** The attempt is over and answered for. A directory that nobody wrote anything to is removed. */
  async retire(name: string): Promise<void> {
    const directory = this.directoryOf(name)
    const names = await readdir(directory).catch(() => [])
    if (names.every((one) => OWN_FILES.has(one)))
      await rm(directory, { recursive: true, force: true })
    else guarded('mark an end', () => writeFileSync(join(directory, FILES.ended), ''))
    this.forget(name)
  }

  /** Makes this attempt the one that `latest` finds for the address. */
  point(address: string, name: string): void {
    guarded('write a pointer', () => {
      put(this.#pointerPath(address), JSON.stringify({ address, name }))
    })
  }

  /** The directory of the attempt that ran a command for this actor last, if it is still there. */
  latest(address: string): string | undefined {
    const name = guarded('read a pointer', () => this.#pointerOf(this.#pointerPath(address))?.name)
    if (name === undefined) return undefined
    const directory = this.directoryOf(name)
    return existsSync(directory) ? directory : undefined
  }

  /** After a directory was removed: its pointer goes too, unless a newer attempt has it. */
  dropPointer(address: string, name: string): void {
    guarded('remove a pointer', () => {
      const path = this.#pointerPath(address)
      if (this.#pointerOf(path)?.name === name) rmSync(path, { force: true })
    })
  }

  #pointerOf(path: string): { address: string; name: string } | undefined {
    return readJson(path)
  }

  /**
   * An address is printable ASCII without `^`, so that its slashes can become that. A long one ends in
   * a hash; should two share it, they take turns at numbered names.
   */
  #pointerPath(address: string): string {
    const plain = address.replaceAll('/', '^')
    if (plain.length <= POINTER_BYTES_MAX) return join(this.#pointers, plain)
    const stem = `${plain.slice(0, POINTER_BYTES_MAX - 30)}^^${hashOf(address)}`
    for (let turn = 0; ; turn++) {
      const path = join(this.#pointers, `${stem}-${turn}`)
      const found = this.#pointerOf(path)
      if (found === undefined || found.address === address) return path
    }
  }
}

/** When an attempt came to its end, for the sweep. */
export const ENDED_FILE = FILES.ended

/** Synchronous: a hundred bytes into the page cache take less than a trip to the thread pool. */
function put(path: string, text: string): void {
  const draft = `${path}.draft`
  writeFileSync(draft, text, { mode: 0o600 })
  renameSync(draft, path)
}

/** Undefined when there is none. A draft that a crash left behind is none either. */
function readJson<T>(path: string): T | undefined {
  if (path.endsWith('.draft')) return undefined
  try {
    return JSON.parse(readFileSync(path, 'utf8')) as T
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code === 'ENOENT') return undefined
    throw cause
  }
}

async function flush(path: string): Promise<void> {
  try {
    const file = await open(path, 'r')
    try {
      await file.sync()
    } finally {
      await file.close()
    }
  } catch (cause) {
    throw new TroupeError('store-failed', `the worker cannot flush ${path}`, { cause })
  }
}

function guarded<T>(what: string, act: () => T): T {
  try {
    return act()
  } catch (cause) {
    const why = cause instanceof Error ? cause.message : String(cause)
    throw new TroupeError('store-failed', `the worker cannot ${what}: ${why}`, { cause })
  }
}

function toBase64(value: unknown): string {
  return Buffer.from(pack(value)).toString('base64')
}

function fromBase64(text: string): unknown {
  return unpack(Buffer.from(text, 'base64'))
}

/** 53 bits (cyrb53). Only for file names whose content says whose they are. */
function hashOf(text: string): string {
  let high = 0xdeadbeef
  let low = 0x41c6ce57
  for (let i = 0; i < text.length; i++) {
    const code = text.charCodeAt(i)
    high = Math.imul(high ^ code, 2654435761)
    low = Math.imul(low ^ code, 1597334677)
  }
  high = Math.imul(high ^ (high >>> 16), 2246822507) ^ Math.imul(low ^ (low >>> 13), 3266489909)
  low = Math.imul(low ^ (low >>> 16), 2246822507) ^ Math.imul(high ^ (high >>> 13), 3266489909)
  return (4294967296 * (2097151 & low) + (high >>> 0)).toString(36)
}
