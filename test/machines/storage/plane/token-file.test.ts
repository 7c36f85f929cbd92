/** The token that nodes and blobnodes share: one rule for both of them. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, it } from 'vitest'
import { storage } from '../../../../machines/storage/index.ts'
import { settingsOf } from '../../../../machines/storage/plane/blobnode/settings.ts'
import { tokenIn } from '../../../../machines/storage/plane/token-file.ts'
import { createNode } from '../../../../src/index.ts'

let directory: string
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'troupe-token-'))
})
afterEach(() => rmSync(directory, { recursive: true, force: true, maxRetries: 5 }))

function file(text: string): string {
  const path = join(directory, 'token')
  writeFileSync(path, text)
  return path
}

const node = (tokenFile: string) =>
  createNode({
    dataDirectory: join(directory, 'node'),
    apps: [storage],
    config: { storage: { plane: { tokenFile } } },
  })
const blobnode = (tokenFile: string) =>
  settingsOf({ disk: ['1=/data/1'], idc: 'z1', rack: 'r1', tokenFile }, {})

it('is one word, and what stands around it is none of it', () => {
  expect(tokenIn(file('  sixteen-letters!\n'), 'here')).toBe('sixteen-letters!')
})

it.each([
  ['nothing', ''],
  ['two words', 'not one word but two of them'],
  ['a word that could be guessed', 'fifteen-letters'],
])('%s is none, for nodes as for blobnodes, and is not shown', async (_, text) => {
  const path = file(`${text}\n`)
  const holdsNone = `${path} holds none: a token is one word of at least 16`
  expect(() => blobnode(path)).toThrow(`--token-file: ${holdsNone}`)
  await expect(node(path)).rejects.toMatchObject({
    code: 'invalid-config',
    message: expect.stringContaining(`storage.plane.tokenFile: ${holdsNone}`),
  })
  if (text !== '') expect(() => tokenIn(path, 'here')).not.toThrow(text)
})

it('that cannot be read is named, for both, with the reason', async () => {
  const path = join(directory, 'none')
  const why = `cannot read ${path}: ENOENT`
  expect(() => blobnode(path)).toThrow(`--token-file: ${why}`)
  await expect(node(path)).rejects.toThrow(`storage.plane.tokenFile: ${why}`)
})
