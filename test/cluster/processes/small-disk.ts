/**
 * A disk that is small enough to be filled: a tmpfs of its own, where this user may mount one. Decides: how
 * it is filled to its last byte, and that nothing of it outlives its test.
 */
import { spawnSync } from 'node:child_process'
import { closeSync, mkdirSync, mkdtempSync, openSync, rmdirSync, rmSync, writeSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

const PIECE = Buffer.alloc(4_096)
const FILLER = 'filler'

/** Undefined where one can be mounted; otherwise one line that says why not. */
export const missingSmallDisk: string | undefined = (() => {
  const directory = mkdtempSync(join(tmpdir(), 'troupe-disk-'))
  const why = mount(directory, 1)
  if (why === undefined) spawnSync('umount', [directory])
  rmdirSync(directory)
  return why && `no tmpfs can be mounted here: ${why}`
})()

export class SmallDisk {
  readonly directory: string

  /** @param directory made if it is not there; what it holds is hidden until `unmount` */
  constructor(directory: string, megabytes: number) {
    this.directory = directory
    mkdirSync(directory, { recursive: true })
    const why = mount(directory, megabytes)
    if (why !== undefined) throw new Error(why)
    ALL.add(this)
  }

  fill(): void {
    const file = openSync(join(this.directory, FILLER), 'w')
    try {
      for (;;) writeSync(file, PIECE)
    } catch (thrown) {
      if ((thrown as NodeJS.ErrnoException).code !== 'ENOSPC') throw thrown
    } finally {
      closeSync(file)
    }
  }

  /** There is room again. */
  free(): void {
    rmSync(join(this.directory, FILLER))
  }

  /** Whoever uses it has ended. */
  unmount(): void {
    if (ALL.delete(this)) spawnSync('umount', ['--lazy', this.directory])
  }
}

function mount(directory: string, megabytes: number): string | undefined {
  const options = ['-t', 'tmpfs', '-o', `size=${megabytes}m`, 'none', directory]
  const { status, stderr, error } = spawnSync('mount', options, { encoding: 'utf8' })
  return status === 0 ? undefined : (error?.message ?? stderr.trim())
}

const ALL = new Set<SmallDisk>()
process.on('exit', () => {
  for (const disk of ALL) disk.unmount()
})
