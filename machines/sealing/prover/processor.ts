/**
 * The side of the child of an external processor: one JSON line per request and per answer, on standard
 * input and output. Decides: what is answered to what cannot be read, and when it ends: when input is
 * closed and what was asked for is done, or at once when nobody reads its answers, since then the worker
 * that asked is gone and another one may be about to use the same files.
 */
import { createInterface } from 'node:readline'
import type { Readable, Writable } from 'node:stream'
import { z } from 'zod'
import { TroupeError } from '../../../src/index.ts'
import { isProverStage, PROVER_STAGES, type ProverStage } from './tasks.ts'
import type { Progress } from './thread.ts'
import { ProverThreads } from './threads.ts'

export interface ProcessorOptions {
  /** Announces nothing beyond `<stage> processor ready`, for workers that know no more. */
  plain?: boolean | undefined
  /** Ends it, and what it does. */
  signal?: AbortSignal | undefined
  /** Takes what no answer can say. */
  note?: (line: string) => void
}

/** What this child knows beyond the lines that all processors know. */
const EXTENSIONS = { cancel: true, progress: true }
const id = z.int().min(0)
const request = z.union([
  z.object({ id, cancel: z.literal(true) }),
  z.object({ id, task: z.unknown().refine((task) => task !== undefined) }),
])
const ID_IN_TEXT = /"id"\s*:\s*(\d{1,15})(?!\d)/
/** How much of a line that cannot be read is told. */
const SHOWN_CHARS = 100

/** @throws TroupeError `not-found` for a stage that there is not */
export async function runProcessor(
  stage: string,
  stdin: Readable,
  stdout: Writable,
  options: ProcessorOptions = {},
): Promise<void> {
  if (!isProverStage(stage)) {
    const all = PROVER_STAGES.join(', ')
    throw new TroupeError('not-found', `"${stage.slice(0, 64)}" is no stage: take one of ${all}`)
  }
  await new Processor(stage, stdin, stdout, options).run()
}

class Processor {
  readonly #stage: ProverStage
  readonly #stdin: Readable
  readonly #stdout: Writable
  readonly #options: ProcessorOptions
  readonly #threads = new ProverThreads()
  readonly #running = new Map<number, AbortController>()
  #inputIsOpen = true
  #end: () => void = () => undefined

  constructor(stage: ProverStage, stdin: Readable, stdout: Writable, options: ProcessorOptions) {
    this.#stage = stage
    this.#stdin = stdin
    this.#stdout = stdout
    this.#options = options
  }

  async run(): Promise<void> {
    const { signal, plain = false } = this.#options
    const ended = new Promise<void>((resolve) => {
      this.#end = resolve
    })
    // Nobody reads any more.
    this.#stdout.on('error', this.#end)
    this.#stdin.on('error', this.#end)
    signal?.addEventListener('abort', this.#end, { once: true })
    if (signal?.aborted) this.#end()
    const lines = createInterface({ input: this.#stdin })
    lines.on('line', (line) => this.#read(line))
    lines.on('close', () => this.#inputClosed())
    const extensions = plain ? '' : ` ${JSON.stringify(EXTENSIONS)}`
    this.#stdout.write(`${this.#stage} processor ready${extensions}\n`)
    await ended
    lines.close()
    await this.#threads.stop()
    signal?.removeEventListener('abort', this.#end)
  }

  #read(line: string): void {
    if (line.trim() === '') return
    const parsed = request.safeParse(jsonOf(line))
    if (!parsed.success) this.#unreadable(line)
    else if ('cancel' in parsed.data) this.#running.get(parsed.data.id)?.abort()
    else this.#begin(parsed.data.id, parsed.data.task)
  }

  #unreadable(line: string): void {
    const found = ID_IN_TEXT.exec(line)?.[1]
    const why = `this is no request: ${line.slice(0, SHOWN_CHARS)}`
    if (found === undefined) this.#options.note?.(why)
    // An id that is in use belongs to a request that could be read, and that has its own answer.
    else if (!this.#running.has(Number(found))) this.#fail(Number(found), why)
  }

  #begin(id: number, task: unknown): void {
    if (this.#running.has(id)) {
      this.#options.note?.(`request ${id} is under way: its second copy is left out`)
      return
    }
    const cancel = new AbortController()
    this.#running.set(id, cancel)
    const onProgress = (progress: Progress) => this.#progress(id, progress)
    this.#threads.run(this.#stage, task, { signal: cancel.signal, onProgress }).then(
      (output) => {
        this.#running.delete(id)
        this.#send({ id, err_msg: null, output })
        this.#endIfDone()
      },
      (thrown: unknown) => {
        this.#running.delete(id)
        if (cancel.signal.aborted) this.#fail(id, 'cancelled')
        else this.#fail(id, messageOf(thrown), isPassing(thrown))
        this.#endIfDone()
      },
    )
  }

  #inputClosed(): void {
    this.#inputIsOpen = false
    // A line into a pipe that nobody reads fails: so a worker that was killed is told from one that
    // has no more to ask for. Without progress there is no such line.
    for (const [id, cancel] of this.#running) {
      if (this.#options.plain) cancel.abort()
      else this.#progress(id, { done: 0, of: 1, what: 'input closed' })
    }
    this.#endIfDone()
  }

  #endIfDone(): void {
    if (!this.#inputIsOpen && this.#running.size === 0) this.#end()
  }

  #progress(id: number, progress: Progress): void {
    if (!this.#options.plain) this.#send({ id, progress })
  }

  /** `isRetry` is told by an extension: the worker asks again instead of calling a person. */
  #fail(id: number, message: string, isRetry = false): void {
    const retry = isRetry && !this.#options.plain ? { retry: true } : {}
    this.#send({ id, err_msg: message, output: null, ...retry })
  }

  #send(line: object): void {
    this.#stdout.write(`${JSON.stringify(line)}\n`)
  }
}

function isPassing(thrown: unknown): boolean {
  return thrown instanceof TroupeError && thrown.retry
}

function messageOf(thrown: unknown): string {
  return thrown instanceof Error ? thrown.message : String(thrown)
}

/** Undefined for what is no JSON. */
function jsonOf(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}
