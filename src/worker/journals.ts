/**
 * The journals of live attempts: a file for each, a line for each thing that has to survive a crash.
 *
 * Decides: how lines are written so that a crash at any point leaves whole ones, which file is whose, and
 * which stay open. Leaves to others: what lines say (`attempt-files.ts`).
 *
 * A line counts when it is there to its end. What a crash or a full disk left of another is at the end of
 * the file, where the next one is written over it: a journal has its lines at places that are known, and is
 * never appended to blindly.
 *
 * To make a file and to remove it costs more than all its lines, so files are used again: the file of a
 * journal that is over is emptied, stays open, and waits for the next one. Each line says whose it is, so
 * that the files need no names of their own; one without a whole first line is nobody's. It is emptied
 * before the next first line, so a crash of the process never leaves lines of two. A loss of power may
 * undo what was not flushed since, and show the former journal once more, as it may undo the removal of a
 * file. That is harmless: the owner has answered for that attempt, and refuses its token. What a journal
 * has flushed comes behind the emptying, which is flushed with it; and a line of another journal's ends
 * what is read.
 *
 * Those that live for long are closed when too many are open, and opened again for their next line.
 */
import {
  closeSync,
  fsync,
  ftruncateSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  renameSync,
  unlinkSync,
  writeSync,
} from 'node:fs'
import { join } from 'node:path'
import { promisify } from 'node:util'

interface OpenFile {
  descriptor: number
  /** Of its whole lines. */
  bytes: number
  /** While the kernel has it, whoever closed it could have another file flushed. */
  flushes: number
  /** To be closed when it is flushed. */
  isDropped: boolean
}

interface JournalFile {
  readonly path: string
  open: OpenFile | undefined
}

/** A process may open thousands; most of them are for connections and for what tasks do. */
const OPEN_MAX = 1_000
/** Files that wait for a journal. */
const FREE_MAX = 64
const LINE_END = 10

const fsyncPromised = promisify(fsync)

/** What goes wrong is thrown as the file system says it. */
export class Journals {
  readonly #directory: string
  #openMax: number
  #freeMax: number
  readonly #live = new Map<string, JournalFile>()
  /** Those of `#live` that are open; who was opened first comes first. */
  readonly #open = new Set<JournalFile>()
  /** Open and empty; or of an earlier process, and emptied when they are opened. */
  readonly #free: JournalFile[] = []
  #numberMax = 0

  constructor(directory: string, { openMax = OPEN_MAX, freeMax = FREE_MAX } = {}) {
    this.#directory = directory
    this.#openMax = openMax
    this.#freeMax = freeMax
  }

  /** Finds what an earlier process left; makes the directory when it is missing. */
  open(): void {
    mkdirSync(this.#directory, { recursive: true, mode: 0o700 })
    for (const entry of readdirSync(this.#directory)) {
      this.#numberMax = Math.max(this.#numberMax, Number(entry) || 0)
      const file = { path: join(this.#directory, entry), open: undefined }
      const { name } = contentOf(file)
      if (name !== undefined) this.#live.set(name, file)
      else if (this.#free.length < this.#freeMax) this.#free.push(file)
      else unlinkSync(file.path)
    }
  }

  names(): string[] {
    return [...this.#live.keys()]
  }

  has(name: string): boolean {
    return this.#live.has(name)
  }

  /** A journal that cannot have its first line is not begun. */
  begin(name: string, line: object): void {
    this.remove(name)
    const file = this.#free.pop() ?? this.#newFile()
    try {
      file.open ??= openFile(openSync(file.path, 'w', 0o600), 0)
      write(file.open, name, line)
    } catch (thrown) {
      close(file)
      unlessMissing(() => unlinkSync(file.path))
      throw thrown
    }
    this.#live.set(name, file)
    this.#open.add(file)
    this.#closeSpare()
  }

  append(name: string, line: object): void {
    write(this.#opened(name), name, line)
    this.#closeSpare()
  }

  /** Resolves when what was appended will outlive a loss of power. */
  async flush(name: string): Promise<void> {
    const open = this.#opened(name)
    open.flushes += 1
    try {
      await fsyncPromised(open.descriptor)
    } finally {
      open.flushes -= 1
      if (open.isDropped && open.flushes === 0) closeSync(open.descriptor)
      this.#closeSpare()
    }
  }

  /** The whole lines, in the order in which they were written; none when there is no journal. */
  read(name: string): unknown[] {
    const file = this.#live.get(name)
    if (file === undefined) return []
    const content = contentOf(file)
    return content.name === name ? content.lines : []
  }

  /** Nothing happens when it is gone already. */
  remove(name: string): void {
    const file = this.#live.get(name)
    if (file === undefined) return
    if (file.open !== undefined && this.#free.length < this.#freeMax) {
      ftruncateSync(file.open.descriptor)
      file.open.bytes = 0
      this.#free.push(file)
    } else {
      if (isStillOf(name, file)) unlessMissing(() => unlinkSync(file.path))
      close(file)
    }
    this.#forget(name, file)
  }

  /** The journal of what is not live any more is kept as this file. */
  moveTo(name: string, path: string): void {
    const file = this.#live.get(name)
    if (file === undefined) return
    if (isStillOf(name, file)) unlessMissing(() => renameSync(file.path, path))
    close(file)
    this.#forget(name, file)
  }

  /** From now on none stays open, and none is used again: that is for the next process. */
  close(): void {
    this.#openMax = 0
    this.#freeMax = 0
    this.#closeSpare()
    for (const file of this.#free.splice(0)) close(file)
  }

  #newFile(): JournalFile {
    this.#numberMax += 1
    return { path: join(this.#directory, String(this.#numberMax)), open: undefined }
  }

  #opened(name: string): OpenFile {
    const file = this.#live.get(name)
    if (file === undefined) throw new Error(`there is no journal of ${name}`)
    if (file.open !== undefined) return file.open
    const { name: present, bytes } = contentOf(file)
    if (present !== name) throw new Error(`the journal of ${name} was given to ${present}`)
    file.open = openFile(openSync(file.path, 'r+'), bytes)
    this.#open.add(file)
    return file.open
  }

  #closeSpare(): void {
    for (const file of this.#open) {
      if (this.#open.size <= this.#openMax) return
      close(file)
      this.#open.delete(file)
    }
  }

  #forget(name: string, file: JournalFile): void {
    this.#live.delete(name)
    this.#open.delete(file)
  }
}

function openFile(descriptor: number, bytes: number): OpenFile {
  return { descriptor, bytes, flushes: 0, isDropped: false }
}

/** Only while nobody has it open can another process have used it again. */
function isStillOf(name: string, file: JournalFile): boolean {
  return file.open !== undefined || contentOf(file).name === name
}

function close(file: JournalFile): void {
  const { open } = file
  file.open = undefined
  if (open === undefined) return
  if (open.flushes > 0) open.isDropped = true
  else closeSync(open.descriptor)
}

/** A call may take only a part, as when the disk is about to be full: the next one says why. */
function write(file: OpenFile, name: string, content: object): void {
  const line = Buffer.from(`${JSON.stringify([name, content])}\n`)
  let written = 0
  while (written < line.length) {
    const at = file.bytes + written
    written += writeSync(file.descriptor, line, written, line.length - written, at)
  }
  file.bytes += line.length
}

interface Content {
  /** Of whom the first line is; undefined when there is none. */
  name: string | undefined
  lines: unknown[]
  bytes: number
}

/** A loss of power may leave a hole, or what was there before: nothing behind it counts. */
function contentOf({ path }: JournalFile): Content {
  const content = bytesOf(path)
  const found: Content = { name: undefined, lines: [], bytes: 0 }
  for (;;) {
    const end = content.indexOf(LINE_END, found.bytes)
    if (end < 0) return found
    const line = lineOf(content.toString('utf8', found.bytes, end))
    if (line === undefined || (found.name ?? line.name) !== line.name) return found
    found.name = line.name
    found.lines.push(line.content)
    found.bytes = end + 1
  }
}

function lineOf(text: string): { name: string; content: unknown } | undefined {
  try {
    const line: unknown = JSON.parse(text)
    if (!Array.isArray(line)) return undefined
    const [name, content] = line as unknown[]
    return typeof name === 'string' ? { name, content } : undefined
  } catch {
    return undefined
  }
}

function bytesOf(path: string): Buffer {
  return unlessMissing(() => readFileSync(path)) ?? Buffer.alloc(0)
}

function unlessMissing<T>(act: () => T): T | undefined {
  try {
    return act()
  } catch (thrown) {
    if ((thrown as NodeJS.ErrnoException).code !== 'ENOENT') throw thrown
    return undefined
  }
}
