/**
 * The lock file names versions and digests but no servers, so that an install works behind any
 * mirror; and the packages that shape bytes on disk or states in memory are pinned exactly.
 */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, it } from 'vitest'
import { fixture, ROOT } from './sources.ts'

/** `xstate` decides what a state is; `msgpackr` and `lmdb` write what later versions must read. */
const PINNED = ['xstate', 'lmdb', 'msgpackr']

interface Package {
  dependencies?: Record<string, string>
}
interface LockEntry {
  version?: string
  resolved?: string
  integrity?: string
  optional?: boolean
  os?: string[]
  cpu?: string[]
  libc?: string[]
  optionalDependencies?: Record<string, string>
}
interface Lock {
  packages: Record<string, LockEntry>
}

function readJson<T>(root: string, name: string): T {
  return JSON.parse(readFileSync(join(root, name), 'utf8')) as T
}

function faults(root: string): string[] {
  const { dependencies = {} } = readJson<Package>(root, 'package.json')
  const { packages } = readJson<Lock>(root, 'package-lock.json')
  const unpinned = PINNED.filter((name) => !/^\d+\.\d+\.\d+$/.test(dependencies[name] ?? '')).map(
    (name) => `package.json: ${name} must be pinned exactly, not "${dependencies[name]}"`,
  )
  const otherwise = PINNED.filter(
    (name) => packages[`node_modules/${name}`]?.version !== dependencies[name],
  ).map((name) => `package-lock.json: ${name} is not the version of package.json`)
  const installed = Object.entries(packages).filter(([path]) => path !== '')
  const addresses = installed
    .filter(([, entry]) => entry.resolved !== undefined)
    .map(([path]) => `package-lock.json: ${path} has a download address ("resolved")`)
  const undigested = installed
    .filter(([, entry]) => entry.integrity === undefined && !isForOtherPlatform(entry))
    .map(([path]) => `package-lock.json: ${path} has no digest ("integrity")`)
  return [...unpinned, ...otherwise, ...addresses, ...undigested, ...missing(packages)]
}

/** A mirror may lack binaries for platforms that we do not run on, and so their digests. */
function isForOtherPlatform({ optional, os, cpu, libc }: LockEntry): boolean {
  const isOurs =
    (os ?? ['linux']).includes('linux') &&
    (cpu ?? ['x64']).some((one) => one === 'x64' || one === 'arm64') &&
    (libc ?? ['glibc']).includes('glibc')
  return optional === true && !isOurs
}

/** `npm ci` refuses a lock file without an entry for each binary, of whatever platform. */
function missing(packages: Lock['packages']): string[] {
  return Object.entries(packages).flatMap(([path, entry]) =>
    Object.keys(entry.optionalDependencies ?? {})
      .filter(
        (name) => !packages[`node_modules/${name}`] && !packages[`${path}/node_modules/${name}`],
      )
      .map(
        (name) => `package-lock.json: ${name}, optional for ${path}, has no entry: npm ci fails`,
      ),
  )
}

it('has no download addresses, a digest for each package, and exact pins', () => {
  expect(Object.keys(readJson<Lock>(ROOT, 'package-lock.json').packages).length).toBeGreaterThan(50)
  expect(faults(ROOT)).toEqual([])
})

it('would notice each fault', () => {
  expect(faults(fixture('lockfile'))).toEqual([
    'package.json: lmdb must be pinned exactly, not "^3.5.6"',
    'package.json: msgpackr must be pinned exactly, not "undefined"',
    'package-lock.json: xstate is not the version of package.json',
    'package-lock.json: lmdb is not the version of package.json',
    'package-lock.json: node_modules/lmdb has a download address ("resolved")',
    'package-lock.json: node_modules/xstate has no digest ("integrity")',
    'package-lock.json: lmdb-linux-arm, optional for node_modules/lmdb, has no entry: npm ci fails',
  ])
})
