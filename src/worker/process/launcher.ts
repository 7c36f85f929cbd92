/**
 * The launcher: a small process that starts shims, so that the node need not be forked for each.
 *
 * Decides: how the two talk, when a launcher is started and ended, and what its death means: what it
 * has not confirmed is unknown, what it has started goes on, and its end is for others to notice.
 * Leaves to others: starting a shim without it (`shim-process.ts`), and that nothing runs twice
 * (the claim, `shim.ts`).
 *
 * A fork copies the page tables of the whole process, and each page that is written to afterwards is
 * copied as well: for a busy node that is most of what a short command costs. The launcher is Node,
 * too, since a shell starts in the background only what ignores SIGINT for good. Of its 50 MB, 11
 * are its own, the others the program that the node has in memory anyhow (measured, Node 20).
 *
 * Both directions are lines of JSON. To it: `[id, cwd, environment, words]`. From it: `[0]` when it is
 * ready, `[id, pid]` for a shim that is under way, `[id, null, code, message]` for one that could not
 * be, `[id, pid, status]` for its end (null: by a signal). It ends when its input does, and when it has
 * had nothing to do for a while.
 */
import { type ChildProcess, spawn } from 'node:child_process'
import type { Socket } from 'node:net'

import type { Clock, Log } from '../../ports/index.ts'
import { toErrorRecord } from '../../protocol/index.ts'
import { SHIM_SCRIPT } from './shim.ts'
import type { ShimProcess, ShimStart } from './shim-process.ts'

/** What became of a request. `unknown`: the launcher is gone, and the shim may have begun or not. */
export type Launched =
  | { kind: 'started'; shim: ShimProcess }
  | { kind: 'failed'; cause: Error }
  | { kind: 'unknown' }

type Message = readonly [id: number, pid?: number | null, status?: unknown, why?: string]

const RETRY_MS = 30_000
/** It holds nothing but the names of what runs. */
const LAUNCHER_FLAGS = ['--max-semi-space-size=1', '--max-old-space-size=64']

/**
 * `$1` the shim's script, which is the same for all; `$2` ms after which a launcher without work ends.
 * Answers of one turn of its event loop are one write.
 */
const LAUNCHER_SCRIPT = `
'use strict'
const { spawn } = require('node:child_process')
const [script, idleMs] = process.argv.slice(-2)
let text = ''
let answers = ''
let running = 0
let usedAt = performance.now()
const send = () => {
  process.stdout.write(answers)
  answers = ''
}
const say = (message) => {
  if (answers === '') setImmediate(send)
  answers += JSON.stringify(message) + '\\n'
}
const start = ([id, cwd, env, words]) => {
  usedAt = performance.now()
  const fail = (cause) => say([id, null, cause.code, cause.message])
  let child
  try {
    const options = { cwd, env, detached: true, stdio: 'ignore' }
    child = spawn('/bin/sh', ['-c', script, ...words], options)
  } catch (cause) {
    return fail(cause)
  }
  child.once('error', fail)
  if (child.pid === undefined) return
  running += 1
  say([id, child.pid])
  child.once('exit', (code) => {
    running -= 1
    say([id, child.pid, code])
  })
}
process.stdin.setEncoding('utf8')
process.stdin.on('data', (chunk) => {
  const lines = (text + chunk).split('\\n')
  text = lines.pop()
  for (const line of lines) start(JSON.parse(line))
})
for (const stream of [process.stdin, process.stdout]) stream.on('error', () => process.exit())
process.stdin.on('end', () => process.exit())
setInterval(() => {
  if (running === 0 && performance.now() - usedAt > idleMs) process.exit()
}, idleMs / 2)
say([0])
`

/** A shim that the launcher started, or is about to. */
class LaunchedShim implements ShimProcess {
  pid: number | undefined
  readonly gone: Promise<number | null>
  readonly launched: Promise<Launched>
  readonly #release: (shim: LaunchedShim) => void
  #isGone = false
  #resolveGone: (status: number | null) => void = () => {}
  #resolveLaunched: (launched: Launched) => void = () => {}

  constructor(release: (shim: LaunchedShim) => void) {
    this.#release = release
    this.gone = new Promise((resolve) => {
      this.#resolveGone = resolve
    })
    this.launched = new Promise((resolve) => {
      this.#resolveLaunched = resolve
    })
  }

  isGone(): boolean {
    return this.#isGone
  }

  unref(): void {
    this.#release(this)
  }

  started(pid: number): void {
    this.pid = pid
    this.#resolveLaunched({ kind: 'started', shim: this })
  }

  failed(code: unknown, why: string | undefined): void {
    const cause = Object.assign(new Error(why), { code })
    this.#resolveLaunched({ kind: 'failed', cause })
  }

  /** Its end, or that nobody is left who would tell. */
  ended(status: number | null): void {
    this.#isGone = true
    this.#resolveLaunched({ kind: 'unknown' })
    this.#resolveGone(status)
  }
}

export class Launcher {
  readonly #clock: Clock
  readonly #log: Log
  readonly #idleMs: number
  readonly #answerMs: number
  readonly #shims = new Map<number, LaunchedShim>()
  /** Those for which this process must not end. */
  readonly #held = new Set<LaunchedShim>()
  #child: ChildProcess | undefined
  #ready = false
  #text = ''
  #next = 1
  /** On the monotonic clock; a launcher that cannot come up is not tried with each command. */
  #notBeforeMs = 0

  constructor(deps: { clock: Clock; log: Log; idleMs: number; answerMs: number }) {
    this.#clock = deps.clock
    this.#log = deps.log
    this.#idleMs = deps.idleMs
    this.#answerMs = deps.answerMs
  }

  /** Undefined when there is none at the moment; one is then on its way. */
  launch({ words, cwd, environment }: ShimStart): Promise<Launched> | undefined {
    if (!this.#ready) {
      this.#open()
      return undefined
    }
    const id = this.#next++
    const shim = new LaunchedShim((released) => this.#release(released))
    this.#shims.set(id, shim)
    this.#held.add(shim)
    if (this.#held.size === 1) this.#output?.ref()
    const child = this.#child
    child?.stdin?.write(`${JSON.stringify([id, cwd, environment, words])}\n`)
    const cancel = this.#clock.after(this.#answerMs, () => {
      this.#log.warn({ launcher: child?.pid }, 'the launcher does not answer and is ended')
      child?.kill('SIGKILL')
      this.#lose(child)
    })
    void shim.launched.then(cancel)
    return shim.launched
  }

  /** What it started goes on. Another `launch` opens another one. */
  close(): void {
    this.#lose(this.#child)
  }

  get #output(): Socket | undefined {
    return this.#child?.stdout as Socket | undefined
  }

  #open(): void {
    if (this.#child !== undefined || this.#clock.monotonic() < this.#notBeforeMs) return
    const words = [...LAUNCHER_FLAGS, '-e', LAUNCHER_SCRIPT, SHIM_SCRIPT, String(this.#idleMs)]
    // Nothing of the node's environment: NODE_OPTIONS, for one, would be meant for the node.
    const options = { cwd: '/', env: {}, detached: true } as const
    let child: ChildProcess
    try {
      child = spawn(process.execPath, words, { ...options, stdio: ['pipe', 'pipe', 'ignore'] })
    } catch (cause) {
      return this.#giveUp(cause)
    }
    this.#child = child
    const lose = (cause: unknown) => {
      if (child === this.#child && !this.#ready) this.#giveUp(cause)
      this.#lose(child)
    }
    child.once('error', lose)
    child.once('exit', (code, signal) => lose(`it ended at its start with ${signal ?? code}`))
    child.stdin?.on('error', lose)
    child.stdout?.on('error', lose)
    child.stdout?.setEncoding('utf8')
    child.stdout?.on('data', (text: string) => this.#read(child, text))
    child.unref()
    for (const stream of [child.stdin, child.stdout]) (stream as Socket | null)?.unref()
  }

  #read(child: ChildProcess, text: string): void {
    if (child !== this.#child) return
    const lines = (this.#text + text).split('\n')
    this.#text = lines.pop() ?? ''
    for (const line of lines) this.#take(JSON.parse(line) as Message)
  }

  #take([id, pid, status, why]: Message): void {
    const shim = this.#shims.get(id)
    if (id === 0) this.#ready = true
    if (shim === undefined) return
    if (pid === null || pid === undefined) shim.failed(status, why)
    else if (status === undefined) return shim.started(pid)
    else shim.ended(status as number | null)
    this.#shims.delete(id)
    this.#release(shim)
  }

  #release(shim: LaunchedShim): void {
    if (this.#held.delete(shim) && this.#held.size === 0) this.#output?.unref()
  }

  #giveUp(cause: unknown): void {
    this.#notBeforeMs = this.#clock.monotonic() + RETRY_MS
    const error = cause instanceof Error ? toErrorRecord(cause) : cause
    this.#log.warn({ error }, 'no launcher; shims are started without it')
  }

  /** It died, or is let go: what it has not told will not be told any more. */
  #lose(child: ChildProcess | undefined): void {
    if (child === undefined || child !== this.#child) return
    this.#output?.unref()
    child.stdin?.end()
    this.#child = undefined
    this.#ready = false
    this.#text = ''
    const lost = [...this.#shims.values()]
    this.#shims.clear()
    this.#held.clear()
    for (const shim of lost) shim.ended(null)
  }
}
