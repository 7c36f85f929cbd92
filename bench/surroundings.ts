/**
 * What a figure means nothing without: the machine, the versions, how durable a commit is, and how
 * busy the machine was with other things.
 */
import { readFileSync, statfsSync } from 'node:fs'
import { createRequire } from 'node:module'
import { cpus, loadavg, release, totalmem } from 'node:os'
import { dirname, join } from 'node:path'

export interface Surroundings {
  cpu: string
  cores: number
  kernel: string
  memoryMb: number
  fileSystem: string
  node: string
  nodeFlags: string[]
  packages: Record<string, string>
  fsync: string
  loadAverage: number[]
}

const PACKAGES = ['lmdb', 'xstate', 'msgpackr']
/** Names of `statfs` types where a flush means something, or nothing at all. */
const FILE_SYSTEMS: Readonly<Record<number, string>> = {
  61267: 'ext4',
  1481003842: 'xfs',
  2435016766: 'btrfs',
  2035054128: 'overlayfs',
  16914836: 'tmpfs (a flush does nothing here: the figures are not those of a disk)',
}

export function surroundings(data: string, nodeFlags: string[]): Surroundings {
  const { type } = statfsSync(data)
  return {
    cpu: cpuModel(),
    cores: cpus().length,
    kernel: release(),
    memoryMb: Math.round(totalmem() / 1024 ** 2),
    fileSystem: FILE_SYSTEMS[type] ?? `type 0x${type.toString(16)}`,
    node: process.version,
    nodeFlags,
    packages: Object.fromEntries(PACKAGES.map((name) => [name, versionOf(name)])),
    fsync:
      'every batch is flushed before its replies (LMDB fdatasync per group commit; overlappingSync off)',
    loadAverage: loadavg(),
  }
}

function cpuModel(): string {
  return cpus()[0]?.model.trim() ?? 'unknown'
}

/** Of the package that is installed; some do not export their package.json. */
function versionOf(name: string): string {
  let folder = dirname(createRequire(import.meta.url).resolve(name))
  for (;;) {
    try {
      const text = readFileSync(join(folder, 'package.json'), 'utf8')
      const found = JSON.parse(text) as { name?: string; version?: string }
      if (found.name === name && found.version !== undefined) return found.version
    } catch {
      // Goes on one folder up.
    }
    const above = dirname(folder)
    if (above === folder) return 'unknown'
    folder = above
  }
}

export function printSurroundings(s: Surroundings): string {
  const packages = Object.entries(s.packages).map(([name, version]) => `${name} ${version}`)
  const flags = s.nodeFlags.length === 0 ? 'no flags' : s.nodeFlags.join(' ')
  return [
    `machine   ${s.cpu}, ${s.cores} cores, ${s.memoryMb} MB, Linux ${s.kernel}, ${s.fileSystem}`,
    `versions  node ${s.node} (${flags}), ${packages.join(', ')}`,
    `fsync     ${s.fsync}`,
    `load      ${loadText(s.loadAverage)} at the start`,
    '',
    '',
  ].join('\n')
}

export function loadText(loads: readonly number[]): string {
  return loads.map((value) => value.toFixed(2)).join(' ')
}
