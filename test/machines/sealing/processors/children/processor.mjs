/**
 * A processor for tests: it does what the task says. Arguments: the stage, then a JSON object of how
 * it starts. Everything is written with one `write` per line, as real processors do.
 */
import { spawn } from 'node:child_process'
import { appendFileSync, closeSync, existsSync } from 'node:fs'
import { createInterface } from 'node:readline'

const [stage, how = '{}'] = process.argv.slice(2)
const start = JSON.parse(how)

const say = (line) => process.stdout.write(`${line}\n`)
const reply = (id, output) => say(JSON.stringify({ id, err_msg: null, output }))
const poll = (look) => {
  const timer = setInterval(() => look() && clearInterval(timer), 5)
  return () => clearInterval(timer)
}
const stoppers = new Map()

const doings = {
  echo: (id, { value }) => reply(id, value),
  env: (id, { name }) => reply(id, process.env[name] ?? 'unset'),
  pid: (id) => reply(id, process.pid),
  fail: (id, { message, retry }) =>
    say(JSON.stringify({ id, err_msg: message, output: null, retry })),
  raw: (id, { lines }) => {
    for (const line of lines) say(line.replaceAll('$ID', id))
  },
  long: (id, { bytes }) => reply(id, 'x'.repeat(bytes)),
  hang: () => undefined,
  /** Answers when a file is there. */
  hold: (id, { until }) => {
    const stop = poll(() => {
      if (!existsSync(until)) return false
      reply(id, until)
      return true
    })
    stoppers.set(id, stop)
  },
  /** Writes into a file for ever. */
  scribble: (_id, { file }) => poll(() => appendFileSync(file, '.')),
  steps: (id, { of }) => {
    for (let done = 1; done <= of; done++) say(JSON.stringify({ id, progress: { done, of } }))
    reply(id, 'done')
  },
  die: (_id, { code, words }) => {
    if (words) process.stderr.write(`${words}\n`)
    process.exit(code)
  },
  /** Answers and is gone. */
  last: (id) => {
    reply(id, 'last')
    process.stdout.end(() => process.exit(0))
  },
  /** Answers, and hears nothing any more. */
  'close-input': (id) => {
    closeSync(0)
    reply(id, 'deaf')
  },
  'close-output': () => closeSync(1),
  /** Leaves a process behind that scribbles, and dies. */
  leave: (_id, { file }) => {
    const script = `setInterval(() => require('node:fs').appendFileSync(${JSON.stringify(file)}, '.'), 5)`
    spawn(process.execPath, ['-e', script], { stdio: 'ignore' })
    poll(() => existsSync(file) && process.exit(3))
  },
}

if (start.pidFile) appendFileSync(start.pidFile, `${process.pid}\n`)
if (start.ignoresTerm) process.on('SIGTERM', () => undefined)
if (start.words) process.stderr.write(`${start.words}\n`)
if (start.dies) process.exit(start.dies)
if (start.deadUnless && !existsSync(start.deadUnless)) process.exit(9)
if (start.banner) say(start.banner)
if (!start.neverReady) say(`${start.claims ?? stage} processor ready${start.suffix ?? ''}`)
// It must not end by itself when its input does: foreign processors finish what they do first.
setInterval(() => undefined, 60_000)

createInterface({ input: process.stdin }).on('line', (line) => {
  const { id, task, cancel } = JSON.parse(line)
  if (!cancel) return doings[task.do](id, task)
  if (start.ignoresCancel) return
  stoppers.get(id)?.()
  say(JSON.stringify({ id, err_msg: 'cancelled', output: null }))
})
