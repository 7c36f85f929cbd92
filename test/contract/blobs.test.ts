import { mkdtemp, readdir, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, it } from 'vitest'
import { MemoryBlobs } from '../../src/adapters/memory/index.ts'
import { FileBlobs } from '../../src/adapters/system/index.ts'
import { TroupeError } from '../../src/protocol/index.ts'
import { blobsSuite } from './blobs.suite.ts'
import { bytes } from './support.ts'

blobsSuite('memory', async () => ({ blobs: new MemoryBlobs(), close: async () => {} }))

blobsSuite('files', async () => {
  const directory = await mkdtemp(join(tmpdir(), 'troupe-blobs-'))
  return {
    blobs: new FileBlobs(join(directory, 'blobs')),
    close: async () => {
      // Nothing has left the root, whatever its name.
      expect(await readdir(directory)).toEqual(['blobs'])
      await rm(directory, { recursive: true })
    },
  }
})

it('file blobs remove what a crash left half written, and refuse names that are too long', async () => {
  const directory = await mkdtemp(join(tmpdir(), 'troupe-blobs-'))
  await writeFile(join(directory, '.tmp-left-over'), 'half')
  const blobs = new FileBlobs(directory)
  expect(await readdir(directory)).toEqual([])
  await expect(blobs.put('x'.repeat(300), bytes(''))).rejects.toThrow(TroupeError)
  await expect(blobs.put('', bytes(''))).rejects.toThrow(TroupeError)
  expect(() => new FileBlobs('/dev/null/blobs')).toThrow(TroupeError)
  await rm(directory, { recursive: true })
})
