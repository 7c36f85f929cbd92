/** What tells one data directory from another. */
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, it } from 'vitest'
import { dataIdentity } from '../../../../machines/sealing/daemon/data-identity.ts'

let root: string

beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), 'identity-'))
})
afterEach(() => rmSync(root, { recursive: true, force: true }))

const identityOf = (data: string) => dataIdentity(data, join(data, 'node'))

it('a directory keeps its own, and another one, or the same one lost, has another', async () => {
  const [a, b] = [join(root, 'a'), join(root, 'b')]
  const first = await identityOf(a)
  mkdirSync(join(a, 'node'))
  expect(await identityOf(a)).toBe(first)
  expect(await identityOf(b)).not.toBe(first)
  // Births of threads begin anew with their store.
  rmSync(join(a, 'node'), { recursive: true })
  const second = await identityOf(a)
  expect(second).not.toBe(first)
  rmSync(a, { recursive: true })
  expect(await identityOf(a)).not.toBe(second)
})

it('a damaged one, and a directory that cannot be written, say what to do', async () => {
  mkdirSync(join(root, 'node'))
  writeFileSync(join(root, 'identity'), 'damaged')
  await expect(identityOf(root)).rejects.toThrow(`cannot read ${join(root, 'identity')}: remove`)
  const below = join(root, 'identity', 'data')
  await expect(identityOf(below)).rejects.toMatchObject({ code: 'store-failed' })
})
