import { expect, it } from 'vitest'
import { PinoLog, silentLog } from '../../src/adapters/system/index.ts'
import { type LogHarness, logSuite } from './log.suite.ts'

function capture(level: 'debug' | 'warn' = 'debug'): LogHarness {
  const written: string[] = []
  const log = PinoLog.open({ level, destination: { write: (line) => void written.push(line) } })
  return { log, lines: () => written.map((line) => JSON.parse(line)) }
}

logSuite('pino', () => capture())

it('pino drops lines below its level', () => {
  const { log, lines } = capture('warn')
  log.info({}, 'dropped')
  log.child({}).debug({}, 'dropped')
  log.warn({}, 'kept')
  expect(lines()).toHaveLength(1)
})

it('the silent log says nothing', () => {
  expect(() => silentLog.child({ a: 1 }).error({}, 'x')).not.toThrow()
})
