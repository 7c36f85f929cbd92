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
 * | `attempts/<name>/attempt.json` | what `task.start` answered, before it runs | with the directory |
 * | `attempts/<name>/result.json` | what is reported, and under which command id | with the directory |
 * | `by-address/<address>` | the attempt that ran a command for this actor last | with the directory |
 *
 * A file that a crash left half written counts as missing, and what it was written for had not begun:
 * no intent, then the owner was not asked; no attempt, then it did not run and is asked for again
 * under the same id; no result, then nobody was told. So no file needs a rename. A crash of the
 * process loses no whole file; what has to outlive a loss of power is flushed as well.
 */
import { existsSync } from 'node:fs'
import { mkdir, open, readdir, readFile, rm, unlink, writeFile } from 'node:fs/promises'
import { join, resolve } from 'node:path'

import type { WorkerLostPolicy } from '../machine/index.ts'
import { hashText, pack, type TaskFailure, TroupeError, unpack } from '../protocol/index.ts'

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

const FILES = { attempt: 'attempt.json', result: 'result.json', beat: 'beat' } as const
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

  /** Makes what is missing. @throws TroupeError `store-failed`, as everything here */
  open(): Promise<void> {
    return guarded('prepare the directory of the worker', async () => {
      for (const path of [this.attemptsDirectory, this.#live, this.#pointers]) {
        await mkdir(path, { recursive: true, mode: 0o700 })
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
  live(): Promise<{ name: string; intent: Intent }[]> {
    return guarded('list live attempts', async () => {
      const found: { name: string; intent: Intent }[] = []
      for (const name of await readdir(this.#live)) {
        const intent = await readJson<Intent>(join(this.#live, name))
        if (intent === undefined) await this.forget(name)
        else found.push({ name, intent })
      }
      return found
    })
  }

  isLive(name: string): boolean {
    return existsSync(join(this.#live, name))
  }

  writeIntent(name: string, intent: Intent): Promise<void> {
    return guarded('write an intent', () => put(join(this.#live, name), JSON.stringify(intent)))
  }

  /** The task was not started: as if it had never come. */
  forget(name: string): Promise<void> {
    return guarded('forget an attempt', () => remove(join(this.#live, name)))
  }

  writeAttempt(name: string, record: AttemptRecord): Promise<void> {
    return guarded('write an attempt', async () => {
      const { input, ...rest } = record
      const directory = this.directoryOf(name)
      const path = join(directory, FILES.attempt)
      await mkdir(directory, { recursive: true, mode: 0o700 })
      const text = JSON.stringify({ ...rest, input: toBase64(input) })
      // Under `rerun` a lost record costs nothing: the lease ends, and another attempt begins.
      if (record.onWorkerLost === 'rerun') await put(path, text)
      else await putFlushed(path, text)
    })
  }

  readAttempt(name: string): Promise<AttemptRecord | undefined> {
    return guarded('read an attempt', async () => {
      const path = join(this.directoryOf(name), FILES.attempt)
      const found = await readJson<AttemptRecord & { input: string }>(path)
      return found && { ...found, input: fromBase64(found.input) }
    })
  }

  writeResult(name: string, { commandId, result }: StoredResult): Promise<void> {
    const body = toBase64(result.op === 'task.done' ? result.output : result.failure)
    const path = join(this.directoryOf(name), FILES.result)
    return guarded('write a result', () =>
      put(path, JSON.stringify({ commandId, op: result.op, body })),
    )
  }

  readResult(name: string): Promise<StoredResult | undefined> {
    return guarded('read a result', async () => {
      const path = join(this.directoryOf(name), FILES.result)
      const found = await readJson<{ commandId: string; op: AttemptResult['op']; body: string }>(
        path,
      )
      if (found === undefined) return undefined
      const { commandId, op } = found
      const body = fromBase64(found.body)
      const result: AttemptResult =
        op === 'task.done' ? { op, output: body } : { op, failure: body as TaskFailure }
      return { commandId, result }
    })
  }

  /** The attempt is over and answered for. A directory that nobody wrote anything to is removed. */
  async retire(name: string): Promise<void> {
    const directory = this.directoryOf(name)
    const names = await readdir(directory).catch(() => [])
    if (names.every((one) => OWN_FILES.has(one))) {
      await guarded('remove an attempt', () => rm(directory, { recursive: true, force: true }))
    }
    await this.forget(name)
  }

  /** Makes this attempt the one that `latest` finds for the address. */
  point(address: string, name: string): Promise<void> {
    return guarded('write a pointer', async () => {
      await put(await this.#pointerPath(address), JSON.stringify({ address, name }))
    })
  }

  /** The directory of the attempt that ran a command for this actor last, if it is still there. */
  async latest(address: string): Promise<string | undefined> {
    const name = await this.#pointedAt(address)
    if (name === undefined) return undefined
    const directory = this.directoryOf(name)
    return existsSync(directory) ? directory : undefined
  }

  /** After a directory was removed: its pointer goes too, unless a newer attempt has it. */
  async dropPointer(address: string, name: string): Promise<void> {
    if ((await this.#pointedAt(address)) !== name) return
    await guarded('remove a pointer', async () => remove(await this.#pointerPath(address)))
  }

  #pointedAt(address: string): Promise<string | undefined> {
    return guarded('read a pointer', async () => {
      const found = await readJson<Pointer>(await this.#pointerPath(address))
      return found?.name
    })
  }

  /**
   * An address is printable ASCII without `^`, so that its slashes can become that. A long one ends in
   * a hash; should two share it, they take turns at numbered names.
   */
  async #pointerPath(address: string): Promise<string> {
    const plain = address.replaceAll('/', '^')
    if (plain.length <= POINTER_BYTES_MAX) return join(this.#pointers, plain)
    const stem = `${plain.slice(0, POINTER_BYTES_MAX - 30)}^^${hashOf(address)}`
    for (let turn = 0; ; turn++) {
      const path = join(this.#pointers, `${stem}-${turn}`)
      const found = await readJson<Pointer>(path)
      if (found === undefined || found.address === address) return path
    }
  }
}

interface Pointer {
  address: string
  name: string
}

function put(path: string, text: string): Promise<void> {
  return writeFile(path, text, { mode: 0o600 })
}

async function remove(path: string): Promise<void> {
  try {
    await unlink(path)
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code !== 'ENOENT') throw cause
  }
}

/** Undefined when there is none, or only a part of one. */
async function readJson<T>(path: string): Promise<T | undefined> {
  let text: string
  try {
    text = await readFile(path, 'utf8')
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code === 'ENOENT') return undefined
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
  const file = await open(path, 'w', 0o600)
  try {
    await file.write(text)
    await file.sync()
  } finally {
    await file.close()
  }
}

async function guarded<T>(what: string, act: () => Promise<T>): Promise<T> {
  try {
    return await act()
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

/** Only for file names whose content says whose they are. */
function hashOf(text: string): string {
  return hashText(text).toString(36)
}
