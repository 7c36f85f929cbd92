/**
 * What the files of a disk are made of: the few operations that everything here is built from, and
 * their form on a real disk. Decides: that a chunk's appends are on the disk, the file's size with
 * them, when a write resolves (O_DSYNC: one trip to a thread instead of two). Leaves to others: what a
 * failure means. Tests put a disk behind it that forgets, tears and fails.
 */
import * as fs from 'node:fs'
import { constants } from 'node:fs'
import { mkdir, readdir, rename, rm, stat, statfs } from 'node:fs/promises'

export interface DiskFile {
  /** Fills the buffer from there on; fewer bytes only where the file ends. */
  read(buffer: Buffer, at: number): Promise<number>
  /** The same for several, one behind the other. */
  readAll(buffers: readonly Uint8Array[], at: number): Promise<number>
  /** All of them, one behind the other. Of an `append` file they are on the disk when it resolves. */
  write(buffers: readonly Uint8Array[], at: number): Promise<void>
  truncate(bytes: number): Promise<void>
  /** All that was written, and the size. */
  sync(): Promise<void>
  size(): Promise<number>
  /** False once its name is gone: what is written then is lost with the last descriptor. */
  isNamed(): Promise<boolean>
  close(): Promise<void>
}

export interface FileSystemSpace {
  sizeBytes: number
  freeBytes: number
}

export interface FileOps {
  /** `append`: an existing file, each write flushed; `draft`: a new or emptied file; `read`: neither. */
  open(path: string, how: 'append' | 'draft' | 'read'): Promise<DiskFile>
  makeDirectory(path: string): Promise<void>
  names(path: string): Promise<string[]>
  rename(from: string, to: string): Promise<void>
  remove(path: string): Promise<void>
  /** Makes names that came and went outlive a loss of power. */
  syncDirectory(path: string): Promise<void>
  /** Tells a file or directory from another one of that name. */
  identity(path: string): Promise<string>
  space(path: string): Promise<FileSystemSpace>
}

const FLAGS = {
  append: constants.O_RDWR | constants.O_DSYNC,
  draft: constants.O_RDWR | constants.O_CREAT | constants.O_TRUNC,
  read: constants.O_RDONLY,
} as const

export const realFileOps: FileOps = {
  open: async (path, how) => new RealFile(await openFd(path, FLAGS[how])),
  makeDirectory: async (path) => void (await mkdir(path, { recursive: true })),
  names: (path) => readdir(path),
  rename,
  remove: (path) => rm(path, { force: true }),
  async syncDirectory(path) {
    const directory = new RealFile(await openFd(path, constants.O_RDONLY))
    try {
      await directory.sync()
    } finally {
      await directory.close()
    }
  },
  async identity(path) {
    // A directory that is made anew may get the number of the old one.
    const { dev, ino, birthtimeNs } = await stat(path, { bigint: true })
    return `${dev}:${ino}:${birthtimeNs}`
  },
  async space(path) {
    const { bsize, blocks, bavail } = await statfs(path)
    return { sizeBytes: blocks * bsize, freeBytes: bavail * bsize }
  },
}

/** By descriptor and callback: a FileHandle costs a third more of this process for each operation. */
class RealFile implements DiskFile {
  readonly #fd: number

  constructor(fd: number) {
    this.#fd = fd
  }

  async read(buffer: Buffer, at: number): Promise<number> {
    let done = 0
    while (done < buffer.length) {
      const bytes = await this.#readOnce(buffer, done, at + done)
      if (bytes === 0) break
      done += bytes
    }
    return done
  }

  async readAll(buffers: readonly Uint8Array[], at: number): Promise<number> {
    let left = buffers
    let done = 0
    while (left.length > 0) {
      const bytes = await this.#readAllOnce(left, at + done)
      if (bytes === 0) break
      done += bytes
      left = behind(left, bytes)
    }
    return done
  }

  async write(buffers: readonly Uint8Array[], at: number): Promise<void> {
    let left = buffers
    let position = at
    while (left.length > 0) {
      const written = await this.#writeOnce(left, position)
      position += written
      left = behind(left, written)
    }
  }

  truncate(bytes: number): Promise<void> {
    return called((done) => fs.ftruncate(this.#fd, bytes, done))
  }

  sync(): Promise<void> {
    return called((done) => fs.fsync(this.#fd, done))
  }

  async size(): Promise<number> {
    return (await this.#stat()).size
  }

  async isNamed(): Promise<boolean> {
    return (await this.#stat()).nlink > 0
  }

  close(): Promise<void> {
    return called((done) => fs.close(this.#fd, done))
  }

  #stat(): Promise<fs.Stats> {
    return new Promise((resolve, reject) => {
      fs.fstat(this.#fd, (error, stats) => (error ? reject(error) : resolve(stats)))
    })
  }

  #readOnce(buffer: Buffer, from: number, at: number): Promise<number> {
    return new Promise((resolve, reject) => {
      fs.read(this.#fd, buffer, from, buffer.length - from, at, (error, bytes) =>
        error ? reject(error) : resolve(bytes),
      )
    })
  }

  #readAllOnce(buffers: readonly Uint8Array[], at: number): Promise<number> {
    return new Promise((resolve, reject) => {
      fs.readv(this.#fd, buffers, at, (error, bytes) => (error ? reject(error) : resolve(bytes)))
    })
  }

  #writeOnce(buffers: readonly Uint8Array[], at: number): Promise<number> {
    return new Promise((resolve, reject) => {
      fs.writev(this.#fd, buffers, at, (error, bytes) => (error ? reject(error) : resolve(bytes)))
    })
  }
}

/** What is left of them after so many bytes: a disk that fills up takes a part, and a call has its largest number. */
function behind(buffers: readonly Uint8Array[], bytes: number): readonly Uint8Array[] {
  let index = 0
  let skip = bytes
  while (index < buffers.length && skip >= buffers[index]!.length) {
    skip -= buffers[index]!.length
    index += 1
  }
  if (index === buffers.length) return []
  return [buffers[index]!.subarray(skip), ...buffers.slice(index + 1)]
}

function openFd(path: string, flags: number): Promise<number> {
  return new Promise((resolve, reject) => {
    fs.open(path, flags, 0o600, (error, fd) => (error ? reject(error) : resolve(fd)))
  })
}

function called(call: (done: (error: Error | null | undefined) => void) => void): Promise<void> {
  return new Promise((resolve, reject) => call((error) => (error ? reject(error) : resolve())))
}

export function errnoOf(thrown: unknown): string | undefined {
  return thrown instanceof Error ? (thrown as NodeJS.ErrnoException).code : undefined
}
