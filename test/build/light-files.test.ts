/** What a command reads before it does anything, as it ships. */
import { execFile } from 'node:child_process'
import { once } from 'node:events'
import { mkdirSync, readdirSync, readFileSync } from 'node:fs'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { promisify } from 'node:util'
import { beforeAll, describe, expect, it, onTestFinished } from 'vitest'
import { type BuiltFile, lightFiles } from '../../build/light-files.ts'
import { ENTRY, lightModules } from '../../build/light-modules.ts'
import { addFiles, makeTree } from './tree.ts'

const ROOT = join(import.meta.dirname, '../..')

let files: readonly BuiltFile[]
beforeAll(async () => {
  files = await lightFiles(ROOT, join(ROOT, 'dist'))
})

/** No other file of ours is there: what a command needs of them beside these, it does not find. */
function placeAlone(): string {
  const root = makeTree({})
  addFiles(root, Object.fromEntries(files.map(({ path, text }) => [path, text])))
  return root
}

interface Ran {
  out: string
  /** What V8 has read, by its own account; without what is Node's. */
  read: string[]
}

async function command(root: string, ...words: string[]): Promise<Ran> {
  const folder = join(root, 'coverage')
  mkdirSync(folder)
  const env = { ...process.env, NODE_V8_COVERAGE: folder }
  const argv = [join(root, 'src/main.js'), ...words]
  const { stdout } = await promisify(execFile)(process.execPath, argv, { env })
  const read = readdirSync(folder).flatMap((name) => {
    const text = readFileSync(join(folder, name), 'utf8')
    const { result } = JSON.parse(text) as { result: { url: string }[] }
    return result.map(({ url }) => url).filter((url) => url.startsWith('file:'))
  })
  const base = `${pathToFileURL(root).href}/`
  return { out: stdout, read: read.map((url) => url.replace(base, '')).sort() }
}

describe('a command', () => {
  it('reads three files for help', async () => {
    const { out, read } = await command(placeAlone(), '--help')
    expect(out).toContain('Usage: troupe')
    expect(read).toEqual(['light/command.js', 'light/light.js', 'src/main.js'])
  })

  it('reads two more for a verb, and asks a node with them', async () => {
    const counts = { threads: 1, empty: 0, paused: 0, errors: 0, running: 1, waiting: 0 }
    const row = { name: 'sealer-1', dest: '10.0.0.1:17890', version: '1', lastPing: 0, ...counts }
    const server = createServer((_, response) => {
      response.setHeader('content-type', 'application/json')
      response.end(JSON.stringify({ workers: [row] }))
    })
    onTestFinished(() => void server.close())
    await once(server.listen(0, '127.0.0.1'), 'listening')
    const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
    const { out, read } = await command(placeAlone(), 'util', 'worker', 'list', '--http', url)
    expect(out).toContain('sealer-1')
    expect(read).toEqual([
      'light/command.js',
      'light/light.js',
      'light/machines-sealing-fleet-util-verbs.js',
      'machines/sealing/fleet/util-verbs.js',
      'src/main.js',
    ])
  })

  it.each([
    ['actors', 'pause'],
    ['cluster', 'status'],
    ['jobs', 'submit'],
    ['machines', 'check'],
    ['pools', 'list'],
    ['storage', 'disks'],
    ['workers', 'list'],
  ])('reads no more for %s', async (...words) => {
    const { out, read } = await command(placeAlone(), ...words, '--help')
    expect(out).toContain(`Usage: troupe ${words[0]}`)
    expect(read).toHaveLength(5)
  })
})

describe('a light module', () => {
  it('stands in one file only', () => {
    const sources = files
      .filter(({ path }) => path.endsWith('.js.map'))
      .flatMap(({ text }) => (JSON.parse(text) as { sources: string[] }).sources)
    const ours = sources.filter((path) => !path.includes('node_modules'))
    expect(new Set(ours).size).toBe(ours.length)
    expect(ours.length).toBeGreaterThan(60)
  })

  it('says in its own file where it is', () => {
    const texts = new Map(files.map(({ path, text }) => [path, text]))
    const others = [...lightModules(ROOT).keys()].filter((path) => path !== ENTRY)
    const withCode = others.filter(
      (path) =>
        !/^(?:export \{[^}]*\} from "(?:\.\.\/)+light\/[\w-]+\.js";\s*)+$/.test(
          texts.get(path.replace('.ts', '.js')) ?? '',
        ),
    )
    expect(withCode).toEqual([])
  })

  it('keeps its names and comments, for whoever reads a stack trace', () => {
    const text = files.find(({ path }) => path === 'light/light.js')?.text
    expect(text).toContain('class TroupeError extends Error')
    expect(text).toContain('// src/protocol/errors.ts')
  })
})
