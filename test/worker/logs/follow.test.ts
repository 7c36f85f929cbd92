/** Following a stream until the run is over. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest'

import { Runs } from '../process/runs.ts'
import { logStore, RunDir } from './run-dir.ts'

const stream = 'stdout'
let runs: Runs
beforeAll(async () => {
  runs = await Runs.create()
})
afterAll(() => runs.close())

describe('follow', () => {
  it('gives all output of a command, from before its start to its end', async () => {
    const log = logStore().of(runs.dir('chatty'))
    const whole = (async () => {
      let text = ''
      for await (const piece of log.follow({ stream, bytesMax: 1_000 })) text += piece.text
      return text
    })()
    const shell =
      'i=0; while [ $i -lt 100 ]; do echo "zeile $i: ü🙂"; i=$((i+1)); sleep 0.005; done; printf end'
    await runs.start('chatty', { command: { shell } })
    const lines = Array.from({ length: 100 }, (_, index) => `zeile ${index}: ü🙂\n`).join('')
    expect(await whole).toBe(`${lines}end`)
  }, 20_000)

  it('begins at an offset', async () => {
    const run = await runs.start('offset', { command: { shell: 'printf 0123456789' } })
    await run.exit()
    const texts: string[] = []
    for await (const piece of logStore().of(run.dir).follow({ stream, offset: 4, bytesMax: 4 })) {
      texts.push(piece.text)
    }
    expect(texts).toEqual(['4567', '89'])
  })

  it('ends when it is told to, and when the run is removed', async () => {
    const run = await RunDir.create()
    await run.append('hello')
    const stop = new AbortController()
    const seen: string[] = []
    for await (const piece of logStore().of(run.path).follow({ stream, signal: stop.signal })) {
      seen.push(piece.text)
      setImmediate(() => stop.abort())
    }
    for await (const piece of logStore().of(run.path).follow({ stream })) {
      seen.push(piece.text)
      await run.remove()
    }
    expect(seen).toEqual(['hello', 'hello'])
  })

  it('ends with a run that is lost', async () => {
    const run = await runs.start('lost', { command: { shell: 'echo here; sleep 60' } })
    await run.whenStarted()
    const texts: string[] = []
    for await (const piece of logStore().of(run.dir).follow({ stream })) {
      texts.push(piece.text)
      process.kill(Number((await runs.text('lost', 'claim')).split(' ')[0]), 'SIGKILL')
      await run.kill({ graceMs: 0 })
    }
    expect(texts).toEqual(['here\n'])
  })
})
