/**
 * A disk in memory that remembers what of it would outlive what. Decides: what a killed process leaves (all that
 * was written, up to some byte of the last write) and what a loss of power leaves (what was flushed, any
 * subset of the other pages, a size between the two, and names up to some change of them). It records all
 * operations, so that it can be set back to any moment of them; and fails those it is told to.
 */
import type {
  DiskFile,
  FileOps,
} from '../../../../../machines/storage/plane/disk-files/file-ops.ts'

const PAGE = 4_096

interface Inode {
  id: number
  bytes: Buffer
  size: number
  /** What a loss of power leaves of the flushed. */
  flushed: Buffer
  flushedSize: number
  dirty: Set<number>
}

/** All that changes the disk; marks are the test's own. */
export type Step =
  | { kind: 'make'; inode: number; path: string }
  | { kind: 'write'; inode: number; at: number; bytes: Buffer; isFlushed: boolean }
  | { kind: 'truncate'; inode: number; size: number }
  | { kind: 'sync'; inode: number }
  | { kind: 'rename'; from: string; to: string }
  | { kind: 'remove'; path: string }
  | { kind: 'syncDirectory'; path: string }
  | { kind: 'mark'; mark: unknown }

export class DiskState {
  readonly #inodes = new Map<number, Inode>()
  #names = new Map<string, number>()
  #flushedNames = new Map<string, number>()
  /** Of the names, since the last flush. */
  #pending: Map<string, number>[] = []

  get names(): ReadonlyMap<string, number> {
    return this.#names
  }

  inode(id: number): Inode {
    return this.#inodes.get(id)!
  }

  /** @param writtenBytes of a write that is cut */
  apply(step: Step, writtenBytes = Number.POSITIVE_INFINITY): void {
    // What a copy of an earlier moment has not taken along.
    if ('inode' in step && step.kind !== 'make' && !this.#inodes.has(step.inode)) return
    if (step.kind === 'make') {
      const { inode: id, path } = step
      const none = Buffer.alloc(0)
      const { size = 0 } = this.#inodes.get(id) ?? {}
      if (size > 0) return this.#resize(this.inode(id), 0)
      const flushed = { flushed: none, flushedSize: 0 }
      this.#inodes.set(id, { id, bytes: none, size: 0, ...flushed, dirty: new Set() })
      this.#rename((names) => names.set(path, id))
    }
    if (step.kind === 'write') this.#write(step, writtenBytes)
    if (step.kind === 'truncate') this.#resize(this.inode(step.inode), step.size)
    if (step.kind === 'sync') this.#flush(this.inode(step.inode))
    if (step.kind === 'rename') {
      this.#rename((names) => {
        names.set(step.to, names.get(step.from)!)
        names.delete(step.from)
      })
    }
    if (step.kind === 'remove') this.#rename((names) => names.delete(step.path))
    if (step.kind === 'syncDirectory') {
      this.#flushedNames = new Map(this.#names)
      this.#pending = []
    }
  }

  killed(): DiskState {
    const copy = new DiskState()
    copy.#names = new Map(this.#names)
    copy.#flushedNames = new Map(this.#flushedNames)
    copy.#pending = this.#pending.map((names) => new Map(names))
    const moments = [this.#names, this.#flushedNames, ...this.#pending]
    const named = new Set(moments.flatMap((names) => [...names.values()]))
    for (const inode of this.#inodes.values()) {
      // The last process that had it open is gone.
      if (!named.has(inode.id)) continue
      copy.#inodes.set(inode.id, {
        ...inode,
        bytes: Buffer.from(inode.bytes.subarray(0, inode.size)),
        flushed: Buffer.from(inode.flushed.subarray(0, inode.flushedSize)),
        dirty: new Set(inode.dirty),
      })
    }
    return copy
  }

  withoutPower(random: () => number): DiskState {
    const copy = new DiskState()
    const moments = [this.#flushedNames, ...this.#pending]
    copy.#names = new Map(moments[Math.floor(random() * moments.length)])
    copy.#flushedNames = new Map(copy.#names)
    for (const id of new Set(copy.#names.values())) {
      const { bytes, size, flushed, flushedSize, dirty } = this.inode(id)
      const sizes = [size, flushedSize, Math.floor(flushedSize + random() * (size - flushedSize))]
      const kept = sizes[Math.floor(random() * sizes.length)]!
      const content = Buffer.alloc(Math.max(kept, size, flushedSize))
      flushed.copy(content, 0, 0, flushedSize)
      const share = random()
      for (const page of dirty) {
        if (random() < share) bytes.copy(content, page * PAGE, page * PAGE, page * PAGE + PAGE)
      }
      const left = Buffer.from(content.subarray(0, kept))
      const same = { bytes: left, size: kept, flushed: Buffer.from(left), flushedSize: kept }
      copy.#inodes.set(id, { id, ...same, dirty: new Set() })
    }
    return copy
  }

  #rename(change: (names: Map<string, number>) => void): void {
    change(this.#names)
    this.#pending.push(new Map(this.#names))
  }

  #write(
    { inode: id, at, bytes, isFlushed }: Step & { kind: 'write' },
    writtenBytes: number,
  ): void {
    const inode = this.inode(id)
    const written = bytes.subarray(0, writtenBytes)
    this.#resize(inode, Math.max(inode.size, at + written.length))
    written.copy(inode.bytes, at)
    const first = Math.floor(at / PAGE)
    const last = Math.floor((at + written.length - 1) / PAGE)
    for (let page = first; page <= last; page += 1) inode.dirty.add(page)
    if (isFlushed && writtenBytes > bytes.length) {
      this.#flush(inode, (page) => page >= first && page <= last)
    }
  }

  #resize(inode: Inode, size: number): void {
    if (inode.bytes.length < size) {
      const larger = Buffer.alloc(Math.max(size, 2 * inode.bytes.length, PAGE))
      inode.bytes.copy(larger, 0, 0, inode.size)
      inode.bytes = larger
    }
    if (size < inode.size) {
      inode.bytes.fill(0, size)
      for (let page = Math.floor(size / PAGE); page * PAGE < inode.size; page += 1) {
        inode.dirty.add(page)
      }
    }
    inode.size = size
  }

  #flush(inode: Inode, isWanted: (page: number) => boolean = () => true): void {
    if (inode.flushed.length < inode.bytes.length) {
      const larger = Buffer.alloc(inode.bytes.length)
      inode.flushed.copy(larger)
      inode.flushed = larger
    }
    for (const page of [...inode.dirty].filter(isWanted)) {
      inode.bytes.copy(inode.flushed, page * PAGE, page * PAGE, page * PAGE + PAGE)
      inode.dirty.delete(page)
    }
    inode.flushedSize = inode.size
  }
}

/** Thrown instead of what an operation does; undefined lets it be. `bytes`: a write that takes a part first. */
export type Fault = (
  operation: string,
  path: string,
) => { errno: string; bytes?: number } | undefined

export class SimulatedDisk implements FileOps {
  readonly state: DiskState
  readonly steps: Step[] = []
  fault: Fault = () => undefined
  #lastInode: number

  constructor(state = new DiskState()) {
    this.state = state
    this.#lastInode = Math.max(0, ...state.names.values())
  }

  do(step: Step, writtenBytes?: number): void {
    this.steps.push(step)
    this.state.apply(step, writtenBytes)
  }

  /** @throws as a system call does */
  async check(operation: string, path: string): Promise<void> {
    await new Promise((resolve) => setImmediate(resolve))
    const fault = this.fault(operation, path)
    if (fault) throw failure(fault.errno)
  }

  async open(path: string, how: 'append' | 'draft' | 'read'): Promise<DiskFile> {
    await this.check('open', path)
    if (how === 'draft') {
      const inode = this.state.names.get(path) ?? ++this.#lastInode
      this.do({ kind: 'make', inode, path })
    }
    const inode = this.state.names.get(path)
    if (inode === undefined) throw failure('ENOENT')
    return new SimulatedFile(this, inode, path, how === 'append')
  }

  async makeDirectory(): Promise<void> {}

  async names(path: string): Promise<string[]> {
    const start = `${path}/`
    const below = [...this.state.names.keys()].filter((name) => name.startsWith(start))
    return below.map((name) => name.slice(start.length)).filter((name) => !name.includes('/'))
  }

  async rename(from: string, to: string): Promise<void> {
    await this.check('rename', to)
    this.do({ kind: 'rename', from, to })
  }

  async remove(path: string): Promise<void> {
    await this.check('remove', path)
    this.do({ kind: 'remove', path })
  }

  async syncDirectory(path: string): Promise<void> {
    await this.check('syncDirectory', path)
    this.do({ kind: 'syncDirectory', path })
  }

  async identity(path: string): Promise<string> {
    await this.check('identity', path)
    return path
  }

  async space(): Promise<{ sizeBytes: number; freeBytes: number }> {
    return { sizeBytes: 2 ** 40, freeBytes: 2 ** 39 }
  }
}

class SimulatedFile implements DiskFile {
  readonly #disk: SimulatedDisk
  readonly #inode: number
  readonly #path: string
  readonly #isFlushed: boolean

  constructor(disk: SimulatedDisk, inode: number, path: string, isFlushed: boolean) {
    this.#disk = disk
    this.#inode = inode
    this.#path = path
    this.#isFlushed = isFlushed
  }

  async read(buffer: Buffer, at: number): Promise<number> {
    await this.#disk.check('read', this.#path)
    const { bytes, size } = this.#disk.state.inode(this.#inode)
    return bytes.copy(buffer, 0, at, Math.min(size, at + buffer.length))
  }

  async readAll(buffers: readonly Uint8Array[], at: number): Promise<number> {
    const whole = Buffer.alloc(buffers.reduce((sum, { length }) => sum + length, 0))
    const bytes = await this.read(whole, at)
    let from = 0
    for (const buffer of buffers) {
      buffer.set(whole.subarray(from, Math.min(bytes, from + buffer.length)))
      from += buffer.length
      if (from >= bytes) break
    }
    return bytes
  }

  async write(buffers: readonly Uint8Array[], at: number): Promise<void> {
    await new Promise((resolve) => setImmediate(resolve))
    const bytes = Buffer.concat(buffers)
    const step = {
      kind: 'write',
      inode: this.#inode,
      at,
      bytes,
      isFlushed: this.#isFlushed,
    } as const
    const fault = this.#disk.fault('write', this.#path)
    if (fault?.bytes !== undefined) this.#disk.do(step, fault.bytes)
    if (fault) throw failure(fault.errno)
    this.#disk.do(step)
  }

  async truncate(size: number): Promise<void> {
    await this.#disk.check('truncate', this.#path)
    this.#disk.do({ kind: 'truncate', inode: this.#inode, size })
  }

  async sync(): Promise<void> {
    await this.#disk.check('sync', this.#path)
    this.#disk.do({ kind: 'sync', inode: this.#inode })
  }

  async size(): Promise<number> {
    return this.#disk.state.inode(this.#inode).size
  }

  async isNamed(): Promise<boolean> {
    return [...this.#disk.state.names.values()].includes(this.#inode)
  }

  async close(): Promise<void> {}
}

function failure(errno: string): Error {
  return Object.assign(new Error(`${errno}: simulated`), { code: errno })
}
