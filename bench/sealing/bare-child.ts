/**
 * The limit of a step: a line to the same child and a line back, by nothing but pipes; and the limit of what
 * it keeps: one flushed write. Decides: what a task looks like.
 */
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { closeSync, fdatasyncSync, openSync, writeSync } from 'node:fs'
import { createInterface } from 'node:readline'

/** As the one of PC1 is: paths, a ticket as a list of bytes, a piece. */
const TASK = {
  registered_proof: 'StackedDrg2KiBV1_1',
  prover_id: Array<number>(32).fill(7),
  sector_id: 1,
  cache_path: '/var/lib/sealing/store1/data/cache/s-t01000-1',
  in_path: '/var/lib/sealing/store1/data/unsealed/s-t01000-1',
  out_path: '/var/lib/sealing/store1/data/sealed/s-t01000-1',
  ticket: Array<number>(32).fill(7),
  piece_infos: [{ commitment: Array<number>(32).fill(7), size: 2_048 }],
}
/** A page, which is what a small commit writes at least. */
const PAGE = Buffer.alloc(4_096, 7)

export class BareChild {
  readonly #child: ChildProcess
  #answered: (line: string) => void = () => undefined
  #id = 0

  private constructor(child: ChildProcess) {
    this.#child = child
  }

  static async start(program: string, stage: string): Promise<BareChild> {
    const child = spawn(process.execPath, [program, stage], { stdio: ['pipe', 'pipe', 'inherit'] })
    const bare = new BareChild(child)
    const ready = bare.#nextLine()
    createInterface({ input: child.stdout! }).on('line', (line) => bare.#answered(line))
    await ready
    return bare
  }

  async roundTrip(): Promise<void> {
    this.#id += 1
    const answer = this.#nextLine()
    this.#child.stdin?.write(`${JSON.stringify({ id: this.#id, task: TASK })}\n`)
    const { id } = JSON.parse(await answer) as { id: number }
    if (id !== this.#id) throw new Error(`the child answered ${id} instead of ${this.#id}`)
  }

  async stop(): Promise<void> {
    const ended = once(this.#child, 'exit')
    this.#child.stdin?.end()
    await ended
  }

  #nextLine(): Promise<string> {
    return new Promise((resolve) => {
      this.#answered = resolve
    })
  }
}

/** Flushed writes to one file, each of a page; their times in ms. */
export function flushedWrites(path: string, durationMs: number): number[] {
  const file = openSync(path, 'w')
  const times: number[] = []
  const end = performance.now() + durationMs
  while (performance.now() < end) {
    const at = performance.now()
    writeSync(file, PAGE, 0, PAGE.length, 0)
    fdatasyncSync(file)
    times.push(performance.now() - at)
  }
  closeSync(file)
  return times
}
