/** Subjects: what NATS clients outside of Troupe may rely on, token by token. */
import fc from 'fast-check'
import { expect, it } from 'vitest'
import { formatAddress, questionOf, subjectsOf, workerOfWork } from '../../src/protocol/index.ts'
import { childIds, ids, machineNames } from './arbitraries.ts'

const subjects = subjectsOf('main')

it('are golden', () => {
  expect(subjects.shard(7)).toBe('troupe.main.shard.7')
  expect(subjects.relay(7)).toBe('troupe.main.relay.7')
  expect(subjects.query(63)).toBe('troupe.main.query.63')
  expect(subjects.event('job/42')).toBe('troupe.main.event.job.42')
  expect(subjects.event('job/42/pay')).toBe('troupe.main.event.job.42.pay')
  expect(subjects.event('agent/10.0.0.1')).toBe('troupe.main.event.agent.10%2E0%2E0%2E1')
  expect(subjects.event('job/a%2Fb/*')).toBe('troupe.main.event.job.a%2Fb.%2A')
  expect(subjects.eventOf('job')).toBe('troupe.main.event.job.>')
  expect(subjects.eventOf('job', '10.0 *')).toBe('troupe.main.event.job.10%2E0%20%2A')
  expect(subjects.leader()).toBe('troupe.main.leader')
  expect(subjects.member()).toBe('troupe.main.member')
  expect(subjects.alive('n1')).toBe('troupe.main.alive.n1')
  expect(subjects.tail('n1')).toBe('troupe.main.tail.n1')
  expect(subjects.node('n1')).toBe('troupe.main.node.n1')
  expect(subjects.facts()).toBe('troupe.main.facts')
  expect(subjects.api('read')).toBe('troupe.main.api.read.ask')
  expect(subjects.apiMore('admin', 'n.1')).toBe('troupe.main.api.admin.more.n%2E1')
  expect(subjects.cancel('host.a/1')).toBe('troupe.main.cancel.host%2Ea%2F1')
  expect(subjects.work(7, 'w1')).toBe('troupe.main.work.7.w1')
  expect(subjects.works(7)).toBe('troupe.main.work.7.*')
  expect(subjects.workerQuestion('w1', 'report')).toBe('troupe.main.worker.w1.report')
  expect(subjects.workerQuestion('w1', 'runs', 'n1')).toBe('troupe.main.worker.w1.runs.n1')
  expect(subjects.workerQuestions('runs')).toBe('troupe.main.worker.*.runs')
  expect(subjects.workerQuestionsTo('n1')).toBe('troupe.main.worker.*.*.n1')
  expect(subjects.order('w1', 's')).toBe('troupe.main.order.w1.s')
  expect(subjects.workerReports()).toBe('troupe.main.worker.report')
})

it('who speaks as a worker is known by the subject', () => {
  expect(workerOfWork(subjects.work(7, 'w1'))).toBe('w1')
  const asked = { worker: 'w1', question: 'report' }
  expect(questionOf(subjects.workerQuestion('w1', 'report'))).toEqual(asked)
  expect(questionOf(subjects.workerQuestion('w1', 'report', 'n1'))).toEqual(asked)
})

it('clusters share nothing', () => {
  expect(subjectsOf('a').shard(1)).not.toBe(subjectsOf('b').shard(1))
})

it('each part of an address is one token, which no wildcard of a stranger can widen', () => {
  fc.assert(
    fc.property(machineNames, ids, fc.array(childIds, { maxLength: 3 }), (machine, id, path) => {
      const tokens = subjects.event(formatAddress(machine, id, path)).split('.')
      expect(tokens.slice(0, 4)).toEqual(['troupe', 'main', 'event', machine])
      expect(tokens.slice(4).map(decodeURIComponent)).toEqual([id, ...path])
      expect(tokens.join('')).not.toMatch(/[\s*>]/)
    }),
  )
})

it('who asks by raw id listens where the owner speaks', () => {
  fc.assert(
    fc.property(machineNames, ids, (machine, id) => {
      expect(subjects.eventOf(machine, id)).toBe(subjects.event(formatAddress(machine, id)))
    }),
  )
})
