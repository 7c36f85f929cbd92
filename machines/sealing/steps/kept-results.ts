/**
 * What a step has done, kept on disk: a repeat after a crash does none of it again. Decides: the files, one
 * per task for its outcome and one per part of it, and that they are flushed once: a name that a loss of
 * power takes away costs a repeat, a file that it cuts is seen to be cut. What cannot be written, for a disk
 * that is full, is not lost for that: it is needed only if something crashes right now. They are removed
 * when a later step has kept its own: by then the thread has committed this one.
 */
import { createHash } from 'node:crypto'
import { mkdir, readFile, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { z } from 'zod'
import type { Log } from '../../../src/index.ts'
import { isMissing, namesIn, replaceFile } from '../stores/index.ts'
import type { StepOutcome } from '../thread/index.ts'
import { causeChain } from './failures.ts'

/** Ours, so looked at only for having been written by this code; the record is the thread's. */
const keptFile = z.object({
  taskId: z.string(),
  value: z.json(),
})

const NAME_CHARS = 32

export class KeptResults {
  readonly #directory: string
  readonly #taskId: string
  readonly #log: Log
  /** A task id is long, and holds characters that names of files cannot. */
  readonly #name: string

  constructor(directory: string, taskId: string, log: Log) {
    this.#directory = directory
    this.#taskId = taskId
    this.#log = log
    this.#name = createHash('sha256').update(taskId).digest('hex').slice(0, NAME_CHARS)
  }

  async outcome(): Promise<StepOutcome | undefined> {
    return (await this.#read('outcome')) as StepOutcome | undefined
  }

  async keep(outcome: StepOutcome): Promise<void> {
    const own = this.#file('outcome')
    await this.#attempt(async () => {
      await this.#write('outcome', outcome)
      for (const name of await namesIn(this.#directory)) {
        if (name !== own) await rm(join(this.#directory, name), { recursive: true, force: true })
      }
    })
  }

  /** Done once for this task, whatever crashes in between, if it has ended. */
  async once<T>(part: string, work: () => Promise<T>): Promise<T> {
    const known = await this.#read(part)
    if (known !== undefined) return (known as { done: T }).done
    const done = await work()
    await this.#attempt(() => this.#write(part, { done }))
    return done
  }

  async #attempt(keeping: () => Promise<void>): Promise<void> {
    try {
      await keeping()
    } catch (thrown) {
      const fields = { directory: this.#directory, error: causeChain(thrown) }
      this.#log.warn(fields, 'what a step came to cannot be kept on disk')
    }
  }

  async #read(part: string): Promise<unknown> {
    try {
      const text = await readFile(join(this.#directory, this.#file(part)), 'utf8')
      const { taskId, value } = keptFile.parse(JSON.parse(text))
      return taskId === this.#taskId ? value : undefined
    } catch (thrown) {
      // What cannot be read is worth nothing: the work is repeatable, only its result is lost.
      const isDamaged = thrown instanceof SyntaxError || thrown instanceof z.ZodError
      if (isMissing(thrown) || isDamaged) return undefined
      throw thrown
    }
  }

  async #write(part: string, value: unknown): Promise<void> {
    await mkdir(this.#directory, { recursive: true })
    const text = JSON.stringify({ taskId: this.#taskId, value })
    await replaceFile(join(this.#directory, this.#file(part)), text, { isNameFlushed: false })
  }

  #file(part: string): string {
    return `${this.#name}.${part}.json`
  }
}
