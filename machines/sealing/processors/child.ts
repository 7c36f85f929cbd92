/**
 * One life of a child process, from its start until nothing of it runs any more.
 *
 * Decides: that it leads a process group of its own and is ended as one (SIGTERM, then SIGKILL), that no
 * shell is between, when it counts as ready, and that its end is told once: after its last line was read
 * and its group is gone. Leaves to others: what its lines mean to requests, and the next life (`lane.ts`).
 */
import { type ChildProcessByStdio, spawn } from 'node:child_process'
import type { Readable, Writable } from 'node:stream'
import {
  type Clock,
  groupLives,
  type Log,
  type ProcessIdentity,
  processIdentityOf,
  signalGroup,
} from '../../../src/index.ts'
import type { Confinement } from './confinement.ts'
import { wordsOf } from './errors.ts'
import { type Ledger, proofEntry, proofVariable } from './ledger.ts'
import type { ProcessorLimits } from './limits.ts'
import { LineCutter } from './lines.ts'
import { type Abilities, readReady } from './protocol.ts'
import type { ProcessorConfig } from './settings.ts'

/** Lines for people: longer ones are cut. */
const ERROR_LINE_BYTES_MAX = 4_096
const LAST_WORDS_LINES = 3
const QUOTED_CHARS = 100
const LOOK_MS = 20

export interface ChildSpec {
  stage: string
  lane: string
  config: ProcessorConfig
  /** Of this daemon; see `proofVariable`. */
  proof: string
  /** The control group where the configuration names none. */
  defaultGroup: string
}

export interface ChildDeps {
  clock: Clock
  log: Log
  ledger: Ledger
  confinement: Confinement
  limits: ProcessorLimits
  env: NodeJS.ProcessEnv
}

export interface ChildSink {
  ready(abilities: Abilities): void
  line(text: string): void
  overlong(head: string): void
  /** Once: it takes no more requests, but may still answer those it has. */
  ending(): void
  /** Once, and nothing comes after it. */
  gone(why: string): void
}

export class Child {
  readonly #spec: ChildSpec
  readonly #deps: ChildDeps
  readonly #sink: ChildSink
  readonly #process: ChildProcessByStdio<Writable, Readable, Readable>
  #mark: ProcessIdentity | undefined
  #cgroup: string | null = null
  #isReady = false
  /** It is being ended, or has exited and what it left is. */
  #isEnding = false
  #isGone = false
  /** Why it is being ended by us. */
  #endedFor: string | undefined
  #firstLine: string | undefined
  #lastWords: string[] = []
  readonly #timers = new Set<() => void>()

  /** @throws what `spawn` throws at once; what it finds out later becomes `gone` */
  constructor(spec: ChildSpec, sink: ChildSink, deps: ChildDeps) {
    this.#spec = spec
    this.#sink = sink
    this.#deps = deps
    const { config, proof } = spec
    const env = { ...(config.inheritEnvs ? deps.env : {}), ...config.envs, ...proofVariable(proof) }
    const [program, ...args] = deps.confinement.words(config)
    const stdio: ['pipe', 'pipe', 'pipe'] = ['pipe', 'pipe', 'pipe']
    this.#process = spawn(program, args, { env, stdio, detached: true })
    this.#listen()
    if (this.#process.pid !== undefined) this.#settle(this.#process.pid)
  }

  get pid(): number | null {
    return this.#process.pid ?? null
  }

  send(line: string): void {
    this.#process.stdin.write(line)
  }

  /** Ends the whole group; `gone` follows. The first reason is the one that is told. */
  end(why: string): void {
    if (this.#isGone || this.#isEnding) return
    this.#endedFor = why
    this.#beginEnd()
    this.#signal('SIGTERM')
    this.#after(this.#deps.limits.killGraceMs, () => this.#signal('SIGKILL'))
  }

  /** Its place on disk and among the cores; a child that nobody could end later is not used. */
  #settle(pid: number): void {
    const { lane, proof, config, defaultGroup, stage } = this.#spec
    const { ledger, confinement } = this.#deps
    try {
      this.#mark = processIdentityOf(pid)
      if (this.#mark === undefined) return
      this.#cgroup = confinement.place(pid, config, defaultGroup)
      ledger.write({ lane, child: this.#mark, proof, cgroup: this.#cgroup })
    } catch (thrown) {
      this.end(`it cannot be written down: ${wordsOf(thrown)}`)
    }
    this.#after(config.stableWaitMs, () => {
      if (this.#isReady) return
      const said =
        this.#firstLine === undefined ? 'said nothing' : `said ${JSON.stringify(this.#firstLine)}`
      this.end(`it ${said}, not "${stage} processor ready", within ${config.stableWaitMs} ms`)
    })
  }

  #listen(): void {
    this.#process.once('error', (cause) => {
      if (this.#process.pid === undefined) this.#finish(`it cannot be started: ${cause.message}`)
    })
    // One that was not started may have no streams either.
    if (this.#process.pid === undefined) return
    this.#process.once('exit', (code, signal) => {
      this.#beginEnd()
      const how = signal === null ? `exit code ${code}` : `ended by ${signal}`
      void this.#windUp(how)
    })
    const { stdin, stdout, stderr } = this.#process
    const lines = new LineCutter(this.#deps.limits.lineBytesMax, {
      line: (text) => this.#read(text),
      overlong: (head) => {
        if (this.#isReady) this.#sink.overlong(head)
      },
    })
    const words = new LineCutter(ERROR_LINE_BYTES_MAX, {
      line: (text) => this.#hear(text),
      overlong: (head) => this.#hear(head),
    })
    stdout.on('data', (chunk: Buffer) => lines.write(chunk))
    stdout.on('end', () => {
      lines.end()
      this.#after(this.#deps.limits.closedMs, () => this.end('it closed its output'))
    })
    stderr.on('data', (chunk: Buffer) => words.write(chunk))
    stderr.on('end', () => words.end())
    stdin.on('error', () => {
      this.#after(this.#deps.limits.closedMs, () => this.end('it closed its input'))
    })
    for (const stream of [stdout, stderr]) stream.on('error', () => undefined)
  }

  /** After its exit: what it left in its group is ended, and its last lines are read. */
  async #windUp(how: string): Promise<void> {
    const { clock } = this.#deps
    const isRead = new Promise<void>((resolve) => {
      this.#process.once('close', () => resolve())
      // What moved to another session may hold the streams open for ever.
      this.#after(this.#deps.limits.closedMs, resolve)
    })
    while (this.#mark !== undefined && groupLives(this.#mark, proofEntry(this.#spec.proof))) {
      this.#signal('SIGKILL')
      await new Promise<void>((resolve) => clock.after(LOOK_MS, resolve))
    }
    await isRead
    const said = this.#lastWords.length === 0 ? '' : `; it said: ${this.#lastWords.join(' | ')}`
    this.#finish(this.#endedFor === undefined ? `${how}${said}` : `${this.#endedFor}${said}`)
  }

  #beginEnd(): void {
    if (this.#isEnding) return
    this.#isEnding = true
    this.#sink.ending()
  }

  #finish(why: string): void {
    if (this.#isGone) return
    this.#isGone = true
    for (const cancel of this.#timers) cancel()
    if (this.pid !== null) {
      for (const stream of [this.#process.stdout, this.#process.stderr]) stream.destroy()
    }
    if (this.#cgroup !== null) this.#deps.confinement.free(this.#cgroup)
    if (this.#mark !== undefined) this.#forget()
    this.#sink.gone(why)
  }

  #forget(): void {
    const { lane } = this.#spec
    try {
      this.#deps.ledger.remove(lane)
    } catch (thrown) {
      // The next daemon finds it, and that its process is gone.
      this.#deps.log.warn({ lane, error: wordsOf(thrown) }, 'an entry of a child stays behind')
    }
  }

  #read(text: string): void {
    if (this.#isGone) return
    if (this.#isReady) {
      if (text.trim() !== '') this.#sink.line(text)
      return
    }
    const { stage, lane } = this.#spec
    this.#firstLine ??= text.slice(0, QUOTED_CHARS)
    const ready = readReady(text, stage)
    if (ready.kind === 'other-stage') {
      this.end(`it is a processor of ${ready.stage}, not of ${stage}`)
    } else if (ready.kind === 'noise') {
      this.#deps.log.warn(
        { lane, line: text.slice(0, QUOTED_CHARS) },
        'a child said something else first',
      )
    } else if (!this.#isEnding) {
      this.#isReady = true
      this.#sink.ready(ready.abilities)
    }
  }

  /** What a child writes to its standard error belongs to the log of the daemon. */
  #hear(text: string): void {
    if (text.trim() === '') return
    this.#lastWords = [...this.#lastWords, text.slice(0, QUOTED_CHARS)].slice(-LAST_WORDS_LINES)
    this.#deps.log.info({ lane: this.#spec.lane, pid: this.pid, line: text }, 'a child says')
  }

  #signal(signal: NodeJS.Signals): void {
    if (this.#mark !== undefined) signalGroup(this.#mark, proofEntry(this.#spec.proof), signal)
  }

  #after(delayMs: number, call: () => void): void {
    if (this.#isGone) return
    const cancel = this.#deps.clock.after(delayMs, () => {
      this.#timers.delete(cancel)
      call()
    })
    this.#timers.add(cancel)
  }
}
