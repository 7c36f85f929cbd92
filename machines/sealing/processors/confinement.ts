/**
 * Where a child may run: its NUMA node and its cores.
 *
 * Decides: that what this machine cannot do is said once and left out, since a sector that is sealed
 * slowly is better than none; and the files of the control groups, of version 1 and 2. Leaves to others:
 * the names, which were checked with the configuration (`settings.ts`).
 */
import {
  accessSync,
  constants,
  existsSync,
  mkdirSync,
  readFileSync,
  rmdirSync,
  writeFileSync,
} from 'node:fs'
import { delimiter, join } from 'node:path'
import type { Log } from '../../../src/index.ts'
import { wordsOf } from './errors.ts'
import type { ProcessorConfig } from './settings.ts'

const SYS_ROOT = '/sys'

export interface ConfinementOptions {
  log: Log
  env: NodeJS.ProcessEnv
  /** Where /sys is. */
  sysRoot?: string
}

export class Confinement {
  readonly #log: Log
  readonly #env: NodeJS.ProcessEnv
  readonly #sysRoot: string
  /** Where the control groups are mounted. */
  readonly #root: string
  readonly #said = new Set<string>()

  constructor({ log, env, sysRoot = SYS_ROOT }: ConfinementOptions) {
    this.#log = log
    this.#env = env
    this.#sysRoot = sysRoot
    this.#root = join(sysRoot, 'fs/cgroup')
  }

  /** The program and its arguments, behind `numactl` where that is asked for and there. */
  words({ bin, args, numaPreferred }: ProcessorConfig): [program: string, ...args: string[]] {
    if (numaPreferred === null) return [bin, ...args]
    const node = join(this.#sysRoot, 'devices/system/node', `node${numaPreferred}`)
    if (!existsSync(node)) {
      // It would not start the child either.
      this.#sayOnce(`there is no NUMA node ${numaPreferred}: children run on any`)
      return [bin, ...args]
    }
    const numactl = this.#findProgram('numactl')
    if (numactl === undefined) {
      this.#sayOnce('numactl is not installed: children run on any NUMA node')
      return [bin, ...args]
    }
    return [numactl, `--preferred=${numaPreferred}`, '--', bin, ...args]
  }

  /** The directory of the control group that the process is in now, or null without one. */
  place(pid: number, { cgroup }: ProcessorConfig, defaultGroup: string): string | null {
    if (cgroup === null) return null
    const group = (cgroup.groupName ?? defaultGroup).split('/')
    try {
      const directory = this.#isUnified()
        ? this.#makeUnified(group)
        : this.#makeSeparate(join(this.#root, 'cpuset'), group)
      writeFileSync(join(directory, 'cpuset.cpus'), cgroup.cpuset)
      writeFileSync(join(directory, 'cgroup.procs'), String(pid))
      return directory
    } catch (thrown) {
      this.#sayOnce(`control groups cannot be used, children run on any core: ${wordsOf(thrown)}`)
      return null
    }
  }

  /** Removes a group that is empty; others stay, since somebody else uses them too. */
  free(directory: string): void {
    if (!directory.startsWith(`${this.#root}/`)) return
    try {
      rmdirSync(directory)
    } catch {
      // In use, or gone already.
    }
  }

  #isUnified(): boolean {
    return existsSync(join(this.#root, 'cgroup.controllers'))
  }

  /** Version 2: each level above has to hand the controller down. */
  #makeUnified(group: readonly string[]): string {
    let directory = this.#root
    for (const name of group) {
      writeFileSync(join(directory, 'cgroup.subtree_control'), '+cpuset')
      directory = join(directory, name)
      mkdirSync(directory, { recursive: true })
    }
    return directory
  }

  /** Version 1: a new level has no cores and no memory nodes until it is given those of the level above. */
  #makeSeparate(root: string, group: readonly string[]): string {
    let directory = root
    for (const name of group) {
      const above = directory
      directory = join(directory, name)
      mkdirSync(directory, { recursive: true })
      for (const file of ['cpuset.cpus', 'cpuset.mems']) {
        if (readIfThere(join(directory, file)) !== '') continue
        writeFileSync(join(directory, file), readFileSync(join(above, file), 'utf8').trim())
      }
    }
    return directory
  }

  #findProgram(name: string): string | undefined {
    const folders = (this.#env['PATH'] ?? '').split(delimiter).filter((folder) => folder !== '')
    return folders.map((folder) => join(folder, name)).find(isExecutable)
  }

  #sayOnce(message: string): void {
    if (this.#said.has(message)) return
    this.#said.add(message)
    this.#log.warn({}, message)
  }
}

function readIfThere(path: string): string {
  return existsSync(path) ? readFileSync(path, 'utf8').trim() : ''
}

function isExecutable(path: string): boolean {
  try {
    accessSync(path, constants.X_OK)
    return true
  } catch {
    return false
  }
}
