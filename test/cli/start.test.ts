/** `troupe start` as a person sees it: the greeting, and a log of readable lines. */
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { apps } from '../../machines/index.ts'
import { readableLog } from '../../src/cli/log-lines.ts'
import { defineApp } from '../../src/node/index.ts'
import { type Ran, run } from './rig.ts'

let cwd: string
beforeAll(async () => {
  cwd = await mkdtemp(join(tmpdir(), 'troupe-start-'))
})
afterAll(() => rm(cwd, { recursive: true, force: true }))

const silly = defineApp({
  name: 'silly',
  greeting: () => Promise.reject(new Error('has no\u001b[2J words')),
})

/** Starts on a terminal and stops as soon as all of the greeting is there. */
function greeted(script?: string): Promise<Ran> {
  const interrupt = new AbortController()
  return run(['start', '--http', '0', '--data', 'd'], {
    apps: [...apps, silly],
    cwd,
    isTty: true,
    env: { NO_COLOR: '1' },
    interrupt: interrupt.signal,
    onOut: (out) => void (out.includes('Ctrl-C') && interrupt.abort()),
    ...(script === undefined ? {} : { script }),
  })
}

it('prints lines that can be pasted, and a readable log, on a terminal', async () => {
  const { code, out, err } = await greeted('/opt/troupe/dist/src/main.js')
  expect(code, err).toBe(0)
  const url = /listens on (\S+)/.exec(out)?.[1] ?? ''
  expect(out).toContain('alias troupe="node /opt/troupe/dist/src/main.js"')
  expect(out).toContain(`export TROUPE_HTTP=${url}`)
  expect(out).toContain(`curl -s ${url}/server/execute`)
  expect(out).toMatch(/token=\d{10}[0-9a-f]{32}/)
  expect(err).toMatch(/^\d\d:\d\d:\d\d INFO {2}the node serves node=\S+ machines=\["job"/m)
  expect(err).toMatch(/WARN {2}the greeting of an app failed app=silly\n {2}Error: has no words/)
  expect(err).not.toContain('{"level"')
  expect(err).not.toMatch(/token=\d/)
})

it('needs no alias for a program that was installed', async () => {
  expect((await greeted('/usr/local/bin/troupe')).out).not.toContain('alias')
})

it('lets a line pass that is no JSON', () => {
  let written = ''
  const terminal = {
    env: {},
    cwd,
    isTty: true,
    isErrorTty: true,
    script: undefined,
    write: () => {},
    writeError: (text: string) => {
      written += text
    },
    onSignal: () => () => {},
    exit: () => {},
  }
  readableLog(terminal).write('what?\n')
  expect(written).toBe('what?\n')
})
