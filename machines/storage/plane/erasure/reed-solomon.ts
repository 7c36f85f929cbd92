/**
 * Reed–Solomon by a library, in the thread that loads it. Decides: how its WebAssembly is called, and in
 * which portions: columns of 64 KiB per shard, so that its memory stays at some MiB however large a blob is.
 *
 * The library is `@subspace/reed-solomon-erasure.wasm` 0.2.5 (MIT): the Rust crate reed-solomon-erasure,
 * with the same matrix as klauspost/reedsolomon. Of the package the WebAssembly alone is used: its
 * JavaScript frees the flags of `reconstruct`, which the Rust side has taken and freed already. From the
 * second call on the allocator hands out the same memory twice: code 10 ("too few shards") with all
 * shards there, or a trap. Called as here, all patterns come out right. It rebuilds data only, so parity
 * is encoded again; row j of parity does not depend on how many there are, so no more than needed is.
 *
 * Measured beside `wasm-reed-solomon-erasure` 0.2.2 (MIT) on a busy Xeon with 2 cores, one thread, MB/s
 * of data, blobs of 4 MiB: encode EC6P3 200–425 and 168, EC12P4 170–320 and 160; one lost data shard
 * EC6P3 480–1080 and 360, EC12P4 510–960 and 420. It copies each shard into an object of its own as well.
 * `@ronomon/reed-solomon` 6.0.0 (MIT, native) is several times as fast by its own figures, but it has no
 * binaries: it wants a compiler where Troupe is installed, which our own image has not.
 */
import { readFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { copyBytes } from './copy-bytes.ts'
import type { CodeStep } from './rebuild-plan.ts'

const WASM = '@subspace/reed-solomon-erasure.wasm/dist/reed_solomon_erasure_bg.wasm'
const COLUMN_BYTES = 64 * 1024

/** Of Node as well, but its types are with those of browsers only. */
declare const WebAssembly: {
  Module: new (bytes: Uint8Array) => object
  Instance: new (module: object) => { readonly exports: unknown }
}

/** What the WebAssembly offers. Results other than 0 are errors. */
interface Library {
  readonly memory: { readonly buffer: ArrayBuffer }
  __wbindgen_malloc(bytes: number): number
  __wbindgen_free(pointer: number, bytes: number): void
  encode(pointer: number, bytes: number, data: number, parity: number): number
  /** Takes the memory of the flags as its own. */
  reconstruct(
    pointer: number,
    bytes: number,
    data: number,
    parity: number,
    flags: number,
    flagCount: number,
  ): number
}

export class ReedSolomon {
  readonly #library: Library
  #room = { pointer: 0, bytes: 0 }

  private constructor(library: Library) {
    this.#library = library
  }

  static load(): ReedSolomon {
    const path = createRequire(import.meta.url).resolve(WASM)
    const { exports } = new WebAssembly.Instance(new WebAssembly.Module(readFileSync(path)))
    return new ReedSolomon(exports as Library)
  }

  /** Computes the wanted units from the sources. @param units all units of the blob, one after the other */
  run(step: CodeStep, units: Uint8Array, shardBytes: number): void {
    for (let from = 0; from < shardBytes; from += COLUMN_BYTES) {
      this.#runColumn(step, units, shardBytes, from, Math.min(shardBytes, from + COLUMN_BYTES))
    }
  }

  #runColumn(
    { data, parity, sources, wanted }: CodeStep,
    units: Uint8Array,
    shardBytes: number,
    from: number,
    to: number,
  ): void {
    const members = [...data, ...parity]
    const bytes = to - from
    const pointer = this.#roomFor(members.length * bytes)
    const placeOf = (unit: number) => pointer + members.indexOf(unit) * bytes
    const bytesOf = (unit: number) =>
      units.subarray(unit * shardBytes + from, unit * shardBytes + to)
    for (const unit of sources) copyBytes(this.#memory, placeOf(unit), bytesOf(unit))
    if (data.some((unit) => !sources.includes(unit))) {
      this.#reconstruct(pointer, bytes, data.length, members, sources)
    }
    const parityWanted = 1 + Math.max(...wanted.map((unit) => parity.indexOf(unit)))
    if (parityWanted > 0) this.#encode(pointer, bytes, data.length, parityWanted)
    const memory = this.#memory
    for (const unit of wanted) {
      const place = placeOf(unit)
      copyBytes(bytesOf(unit), 0, memory.subarray(place, place + bytes))
    }
  }

  #reconstruct(
    pointer: number,
    bytes: number,
    data: number,
    members: readonly number[],
    sources: readonly number[],
  ): void {
    const library = this.#library
    const flags = library.__wbindgen_malloc(members.length)
    this.#memory.set(
      members.map((unit) => (sources.includes(unit) ? 1 : 0)),
      flags,
    )
    const [count, parity] = [members.length, members.length - data]
    const all = count * bytes
    requireSuccess('reconstruct', library.reconstruct(pointer, all, data, parity, flags, count))
  }

  #encode(pointer: number, bytes: number, data: number, parity: number): void {
    const all = (data + parity) * bytes
    requireSuccess('encode', this.#library.encode(pointer, all, data, parity))
  }

  #roomFor(bytes: number): number {
    if (bytes > this.#room.bytes) {
      const library = this.#library
      if (this.#room.bytes > 0) library.__wbindgen_free(this.#room.pointer, this.#room.bytes)
      this.#room = { pointer: library.__wbindgen_malloc(bytes), bytes }
    }
    return this.#room.pointer
  }

  /** The memory moves when it grows, which any call may make it do. */
  get #memory(): Uint8Array {
    return new Uint8Array(this.#library.memory.buffer)
  }
}

function requireSuccess(what: string, result: number): void {
  if (result !== 0) throw new Error(`the Reed–Solomon library failed to ${what}: code ${result}`)
}
