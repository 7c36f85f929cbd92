/** Blobs in memory. Decides: values are copied both ways, so nobody shares bytes by accident. */
import type { Blobs } from '../../ports/index.ts'

export class MemoryBlobs implements Blobs {
  private readonly values = new Map<string, Uint8Array>()

  async put(name: string, value: Uint8Array): Promise<void> {
    this.values.set(name, new Uint8Array(value))
  }

  async get(
    name: string,
    range?: { offset: number; length: number },
  ): Promise<Uint8Array | undefined> {
    const value = this.values.get(name)
    if (value === undefined || range === undefined) return value?.slice()
    return value.slice(range.offset, range.offset + Math.max(0, range.length))
  }

  async size(name: string): Promise<number | undefined> {
    return this.values.get(name)?.byteLength
  }

  async list(prefix: string): Promise<string[]> {
    return [...this.values.keys()].filter((name) => name.startsWith(prefix)).sort()
  }

  async delete(name: string): Promise<void> {
    this.values.delete(name)
  }
}
