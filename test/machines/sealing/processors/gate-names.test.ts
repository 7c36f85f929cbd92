/** What a thread asks the pool for, and what may be configured for a child. */
import { describe, expect, it } from 'vitest'
import {
  gateNames,
  type ProcessorConfig,
  processorConfig,
} from '../../../../machines/sealing/processors/index.ts'

const NONE = { concurrent: {}, staggered: {}, extLocks: {} }

function configured(given: Partial<ProcessorConfig> = {}): ProcessorConfig {
  return processorConfig.parse({ bin: '/usr/bin/p', ...given })
}

describe('the names of gates', () => {
  it('are those of the stage, the child and its locks, in one order for all', () => {
    const pc2 = [
      configured({ locks: ['gpu1', 'cpu'], concurrent: 1 }),
      configured({ locks: ['cpu', 'gpu0', 'cpu'] }),
    ]
    const extLocks = { gpu0: 1, gpu1: 1, cpu: 2 }
    expect(gateNames({ pc2 }, { concurrent: { pc2: 3 }, staggered: {}, extLocks })).toEqual({
      choices: {
        pc2: [
          ['stage.pc2', 'child.pc2.0', 'lock.cpu', 'lock.gpu1'],
          ['stage.pc2', 'child.pc2.1', 'lock.cpu', 'lock.gpu0'],
        ],
      },
      limits: {
        ...{ 'stage.pc2': 3, 'child.pc2.0': 1, 'child.pc2.1': 64 },
        ...{ 'lock.gpu0': 1, 'lock.gpu1': 1, 'lock.cpu': 2 },
      },
      gaps: {},
      assumedLocks: [],
    })
  })

  it('of a stage without children are its own, if it has a limit or a gap', () => {
    const limits = { concurrent: { c1: 2 }, staggered: { tree_d: 5_000, c2: 0 }, extLocks: {} }
    expect(gateNames({ pc1: [] }, limits)).toEqual({
      choices: { c1: [['stage.c1']], tree_d: [['stage.tree_d']] },
      limits: { 'stage.c1': 2 },
      gaps: { 'stage.tree_d': 5_000 },
      assumedLocks: [],
    })
  })

  it('take a lock that nobody counted as one that a single task holds', () => {
    const c2 = [configured({ locks: ['gpu'] }), configured({ locks: ['gpu'] })]
    const { limits, assumedLocks } = gateNames({ c2 }, NONE)
    expect(limits['lock.gpu']).toBe(1)
    expect(assumedLocks).toEqual(['gpu'])
  })

  it('put very many children under one name, with all their places', () => {
    const pc1 = Array.from({ length: 17 }, (_, n) => configured({ concurrent: n + 1 }))
    const { choices, limits } = gateNames({ pc1 }, NONE)
    expect(choices['pc1']).toEqual([['stage.pc1', 'children.pc1']])
    expect(limits).toEqual({ 'children.pc1': 153 })
    expect(gateNames({ pc1: pc1.slice(1) }, NONE).choices['pc1']).toHaveLength(16)
  })

  it('are refused where the pool could not be asked for them', () => {
    const locked = Array.from({ length: 17 }, () => configured({ locks: ['gpu'] }))
    expect(() => gateNames({ pc2: locked }, NONE)).toThrow(/17 children of pc2 have locks/)
    const many = configured({ locks: ['a', 'b', 'c', 'd', 'e', 'f', 'g'] })
    expect(() => gateNames({ pc2: [many] }, NONE)).toThrow(/child\.pc2\.0 has 7 locks/)
    expect(() => gateNames({ pc2: [{ ...many, locks: many.locks.slice(1) }] }, NONE)).not.toThrow()
  })
})

describe('the configuration of a child', () => {
  it('needs a program only', () => {
    expect(configured()).toMatchObject({
      ...{ stableWaitMs: 5_000, concurrent: 64, locks: [], inheritEnvs: true, autoRestart: true },
      ...{ numaPreferred: null, cgroup: null, timeoutMs: null },
    })
  })

  it.each([
    ['an empty program', { bin: '' }],
    ['a NUL in the program', { bin: 'a\0b' }],
    ['a NUL in an argument', { args: ['a\0b'] }],
    ['no place', { concurrent: 0 }],
    ['half a place', { concurrent: 1.5 }],
    ['a variable without a name', { envs: { '': '1' } }],
    ['a variable with = in its name', { envs: { 'A=B': '1' } }],
    ['a NUL in a variable', { envs: { A: '\0' } }],
    ['a lock that the pool cannot name', { locks: ['gpu 0'] }],
    ['a control group above the root', { cgroup: { cpuset: '0', groupName: '../all' } }],
    ['a control group from the root', { cgroup: { cpuset: '0', groupName: '/all' } }],
    ['a hidden step of a control group', { cgroup: { cpuset: '0', groupName: 'a/../b' } }],
    ['no list of cores', { cgroup: { cpuset: '0;1', groupName: null } }],
    ['a NUMA node below 0', { numaPreferred: -1 }],
    ['an unknown key', { wieght: 3 }],
  ])('is refused with %s', (_, wrong) => {
    expect(processorConfig.safeParse({ bin: 'p', ...wrong }).success).toBe(false)
  })
})
