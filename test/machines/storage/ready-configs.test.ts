/** The ready configuration of config/storage, used as machines/storage/README.md says. */
import { randomBytes } from 'node:crypto'
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, expect, it } from 'vitest'
import { until } from '../../waiting.ts'
import { FarmProcess, freePort } from './plane/proof/store-farm.ts'

const CONFIG = join(import.meta.dirname, '../../../config/storage/node.yaml')
const DISKS = 10
const MOVED_MS = 120_000
const PATIENT = { timeoutMs: 30_000, every: 100 }

let cleanups: (() => Promise<unknown>)[] = []

afterEach(async () => {
  for (const clean of cleanups.reverse()) await clean()
  cleanups = []
})

function begin(words: readonly string[]): FarmProcess {
  const process = new FarmProcess(words)
  process.start()
  cleanups.push(() => process.end('SIGKILL'))
  return process
}

interface Unit {
  index: number
  vuid_text: string
  disk_id: number
}

it('a node, a blobnode with ten directories, a file that comes and goes, and units that move', {
  timeout: 3 * MOVED_MS,
}, async () => {
  const directory = mkdtempSync(join(tmpdir(), 'troupe-ready-'))
  cleanups.push(async () => rmSync(directory, { recursive: true, force: true, maxRetries: 5 }))
  const [port, own] = [await freePort(), await freePort()]
  const url = `http://127.0.0.1:${port}`
  const disks = Array.from({ length: DISKS }, (_, n) => {
    mkdirSync(join(directory, `disk${n + 1}`))
    return ['--disk', `${n + 1}=${join(directory, `disk${n + 1}`)}`]
  })
  const place = ['--data', join(directory, 'node'), '--http', `127.0.0.1:${port}`]
  begin(['start', '--config', CONFIG, ...place])
  const where = ['--idc', 'z1', '--rack', 'r1', '--listen', `127.0.0.1:${own}`, '--http', url]
  const blobnode = begin(['storage', 'blobnode', ...where, ...disks.flat()])
  await until(
    async () => {
      const answer = await fetch(`${url}/storage/disks`)
      const { disks: shown } = (await answer.json()) as { disks: { heard: boolean }[] }
      return shown.filter(({ heard }) => heard).length === DISKS
    },
    PATIENT,
    () => `the disks are heard; the blobnode wrote ${blobnode.output}`,
  )
  const [file, copy] = [join(directory, 'file'), join(directory, 'copy')]
  writeFileSync(file, randomBytes(5_000_000))
  const troupe = async (...words: string[]) => {
    const result = await begin(['storage', ...words, '--http', url]).result()
    return { ...result, output: result.output.trim() }
  }
  const put = await troupe('put', file)
  expect(put.code).toBe(0)
  const got = await troupe('get', put.output, '-o', copy)
  expect(got).toMatchObject({ code: 0 })
  expect(readFileSync(copy).equals(readFileSync(file))).toBe(true)

  const units = async () => {
    const answer = await fetch(`${url}/storage/volumes/1`)
    return ((await answer.json()) as { units: Unit[] }).units
  }
  const [first] = await units()
  let moved = ''
  await until(
    async () => {
      // The node writes to the volume until it is asked to give it back, which the first try does.
      const { code, output } = await troupe('migrate', first?.vuid_text ?? '', '--wait')
      moved = output
      return code === 0
    },
    { timeoutMs: MOVED_MS, every: 1_000 },
    () => `the unit to move; it is told ${moved}`,
  )
  expect(moved).toMatch(/state +finished \(4\)/)
  expect((await units())[0]).not.toMatchObject({ disk_id: first?.disk_id })
  expect(await troupe('get', put.output, '-o', copy)).toMatchObject({ code: 0 })
  expect(readFileSync(copy).equals(readFileSync(file))).toBe(true)
  const stats = await troupe('stats')
  // As many have ended as tries were made.
  expect(stats.output).toMatch(/manual_migrate +- .* [1-9]\d* +\d+ +\d\S* .iB/)

  expect((await troupe('rm', put.output)).code).toBe(0)
  expect((await troupe('get', put.output, '-o', copy)).code).not.toBe(0)
})
