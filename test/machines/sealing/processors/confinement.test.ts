/** Cores and NUMA nodes: where the machine has them, and where it has not. */
import { chmodSync, existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { child, Rig } from './rig.ts'

const KEY = { key: 'store1' }
const CORES = { cpuset: '0', groupName: null }
let rig: Rig

beforeEach(() => {
  rig = new Rig()
})
afterEach(() => rig.close())

/** A tree that looks like /sys. */
function sysWith(files: Readonly<Record<string, string>>): string {
  for (const [path, text] of Object.entries(files)) put(join(rig.path('sys'), path), text)
  return rig.path('sys')
}

function put(path: string, text: string): void {
  mkdirSync(dirname(path), { recursive: true })
  writeFileSync(path, text)
}

describe('control groups', () => {
  it('of version 1 get the memory of the level above, and the child', async () => {
    const sysRoot = sysWith({
      ...{ 'fs/cgroup/cpuset/cpuset.cpus': '0-3\n', 'fs/cgroup/cpuset/cpuset.mems': '0-1\n' },
    })
    const cgroup = { cpuset: '1-2', groupName: 'sealing/pc1' }
    const processors = await rig.ready({ pc1: [child('pc1', {}, { cgroup })] }, { sysRoot })
    const group = join(sysRoot, 'fs/cgroup/cpuset/sealing')
    expect(readFileSync(join(group, 'cpuset.cpus'), 'utf8')).toBe('0-3')
    expect(readFileSync(join(group, 'pc1/cpuset.cpus'), 'utf8')).toBe('1-2')
    expect(readFileSync(join(group, 'pc1/cpuset.mems'), 'utf8')).toBe('0-1')
    const { pid } = processors.report()[0]!
    expect(readFileSync(join(group, 'pc1/cgroup.procs'), 'utf8')).toBe(String(pid))
  })

  it('of version 2 are handed down, under a name of the child where none is given', async () => {
    const sysRoot = sysWith({ 'fs/cgroup/cgroup.controllers': 'cpuset cpu\n' })
    const config = child('pc1', {}, { cgroup: CORES })
    const processors = await rig.ready({ pc1: [config] }, { sysRoot })
    const group = join(sysRoot, 'fs/cgroup/vc-worker', `sub-pc1-${process.pid}-0`)
    expect(readFileSync(join(group, 'cpuset.cpus'), 'utf8')).toBe('0')
    const { pid } = processors.report()[0]!
    expect(readFileSync(join(group, 'cgroup.procs'), 'utf8')).toBe(String(pid))
    const above = join(sysRoot, 'fs/cgroup/vc-worker/cgroup.subtree_control')
    expect(readFileSync(above, 'utf8')).toBe('+cpuset')
  })

  it('that cannot be used are said once, and the children run without', async () => {
    const sysRoot = sysWith({ 'fs/cgroup/other': '' })
    const config = child('pc1', {}, { cgroup: CORES })
    const processors = await rig.ready({ pc1: [config, config] }, { sysRoot })
    expect(await processors.run('pc1', { do: 'echo', value: 1 }, KEY)).toBe(1)
    const said = rig.logged.filter(({ msg }) => String(msg).includes('control groups'))
    expect(said).toHaveLength(1)
  })
})

describe('a NUMA node', () => {
  const config = () => child('pc1', {}, { numaPreferred: 0 })
  const node = { 'devices/system/node/node0/cpulist': '0-3' }

  it('is preferred by numactl', async () => {
    const numactl = rig.path('bin/numactl')
    const asked = rig.path('asked')
    put(numactl, `#!/bin/sh\necho "$1 $2" > ${asked}\nshift 2\nexec "$@"\n`)
    chmodSync(numactl, 0o755)
    const env = { ...process.env, PATH: `${dirname(numactl)}:${process.env['PATH']}` }
    const processors = await rig.ready({ pc1: [config()] }, { sysRoot: sysWith(node), env })
    expect(await processors.run('pc1', { do: 'echo', value: 1 }, KEY)).toBe(1)
    expect(readFileSync(asked, 'utf8')).toBe('--preferred=0 --\n')
    const { pid } = processors.report()[0]!
    expect(await processors.run('pc1', { do: 'pid' }, KEY)).toBe(pid)
  })

  it.each([
    ['without numactl', node, 'numactl is not installed: children run on any NUMA node'],
    ['that is not there', {}, 'there is no NUMA node 0: children run on any'],
  ])('%s is said once, and the children run anywhere', async (_, files, message) => {
    const sysRoot = sysWith(files)
    const env = { ...process.env, PATH: rig.path('nothing') }
    const processors = await rig.ready({ pc1: [config(), config()] }, { sysRoot, env })
    expect(await processors.run('pc1', { do: 'echo', value: 1 }, KEY)).toBe(1)
    expect(rig.logged.filter(({ msg }) => msg === message)).toHaveLength(1)
    expect(existsSync(rig.path('asked'))).toBe(false)
  })
})
