/** What every `Blobs` promises. */
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import type { Blobs } from '../../src/ports/index.ts'
import { bytes, text } from './support.ts'

export interface BlobsHarness {
  blobs: Blobs
  close(): Promise<void>
}

export function blobsSuite(name: string, create: () => Promise<BlobsHarness>): void {
  describe(`blobs: ${name}`, () => {
    let harness: BlobsHarness
    let blobs: Blobs
    beforeEach(async () => {
      harness = await create()
      blobs = harness.blobs
    })
    afterEach(() => harness.close())

    it('has nothing at first', async () => {
      expect(await blobs.get('a')).toBeUndefined()
      expect(await blobs.get('a', { offset: 0, length: 1 })).toBeUndefined()
      expect(await blobs.size('a')).toBeUndefined()
      expect(await blobs.list('')).toEqual([])
      await blobs.delete('a')
    })

    it('keeps values, whole, empty and binary, and replaces them', async () => {
      await blobs.put('a', bytes('x\x00\xff'))
      await blobs.put('empty', bytes(''))
      expect(text(await blobs.get('a'))).toBe('x\x00\xff')
      expect(await blobs.size('a')).toBe(3)
      expect((await blobs.get('empty'))?.length).toBe(0)
      expect(await blobs.size('empty')).toBe(0)
      await blobs.put('a', bytes('other'))
      expect(text(await blobs.get('a'))).toBe('other')
    })

    it('reads parts, cut at the end', async () => {
      await blobs.put('a', bytes('0123456789'))
      const part = async (offset: number, length: number): Promise<string | undefined> =>
        text(await blobs.get('a', { offset, length }))
      expect(await part(0, 3)).toBe('012')
      expect(await part(4, 3)).toBe('456')
      expect(await part(8, 9)).toBe('89')
      expect(await part(10, 1)).toBe('')
      expect(await part(99, 1)).toBe('')
      expect(await part(3, 0)).toBe('')
    })

    it('lists names by prefix, in order, and deletes', async () => {
      for (const blob of ['b/2', 'a', 'b/10', 'b/1', 'b']) await blobs.put(blob, bytes(blob))
      expect(await blobs.list('b/')).toEqual(['b/1', 'b/10', 'b/2'])
      expect(await blobs.list('')).toEqual(['a', 'b', 'b/1', 'b/10', 'b/2'])
      await blobs.delete('b/1')
      expect(await blobs.list('b/')).toEqual(['b/10', 'b/2'])
      expect(await blobs.get('b/1')).toBeUndefined()
    })

    it('takes any name literally', async () => {
      const names = [
        '.',
        '..',
        '../x',
        '/etc/passwd',
        'a/../../b',
        '%2e%2e',
        'ü €',
        'a b',
        '*',
        '.tmp-x',
        '\0',
      ]
      for (const blob of names) await blobs.put(blob, bytes(`of ${blob.length}`))
      expect(await blobs.list('')).toEqual(names.toSorted())
      for (const blob of names) expect(text(await blobs.get(blob))).toBe(`of ${blob.length}`)
    })

    it('shares no bytes with its callers', async () => {
      const mine = bytes('mine')
      await blobs.put('a', mine)
      mine.fill(0)
      const read = (await blobs.get('a'))!
      read.fill(0)
      expect(text(await blobs.get('a'))).toBe('mine')
    })

    it('shows a whole value to readers while it is being replaced', async () => {
      const size = 300_000
      await blobs.put('a', Buffer.alloc(size, 0))
      const writing = (async () => {
        for (let i = 1; i <= 20; i++) await blobs.put('a', Buffer.alloc(size, i))
      })()
      for (let i = 0; i < 20; i++) {
        const value = (await blobs.get('a'))!
        expect(value.length).toBe(size)
        expect(value[0]).toBe(value[size - 1])
      }
      await writing
    })
  })
}
