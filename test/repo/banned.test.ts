/** Words and folders that are banned from the repository are not in it; banned code is found. */
import { describe, expect, it } from 'vitest'
import { bannedInCode, bannedInText, bucketFolders } from './bans.ts'
import { fixture, ROOT, readSources, readTexts } from './sources.ts'

describe('the repository', () => {
  const texts = readTexts(ROOT)

  it('holds no reminder words, machine paths or registry hosts', () => {
    expect(texts.flatMap(bannedInText)).toEqual([])
  })

  it('holds no bucket folders', () => {
    expect(bucketFolders(texts.map((file) => file.path))).toEqual([])
  })

  it('was looked at, the hidden folders too', () => {
    const paths = texts.map((file) => file.path)
    expect(paths).toEqual(
      expect.arrayContaining(['package-lock.json', '.ci/run', 'src/protocol/codec.ts']),
    )
    expect(paths.filter((path) => path.includes('fixtures'))).toEqual([])
  })
})

describe('each ban', () => {
  it('would notice banned code', () => {
    const found = readSources(fixture('banned'), ['src', 'test']).flatMap(bannedInCode)
    expect(found).toEqual([
      'src/cli/print.ts:3: console: use process.stdout.write',
      'src/shard/public.ts:2: any at a public edge: use unknown, or say why in a biome-ignore',
      'src/shard/public.ts:3: any at a public edge: use unknown, or say why in a biome-ignore',
      'src/shard/public.ts:8: any at a public edge: use unknown, or say why in a biome-ignore',
      'src/shard/public.ts:20: console: use the Log port',
      'src/shard/public.ts:23: default export: export by name, so that it has one name everywhere',
      'src/shard/public.ts:24: default export: export by name, so that it has one name everywhere',
      'test/focus.test.ts:4: sleep: wait for a condition with until() of test/waiting.ts',
      'test/focus.test.ts:6: .only: every test runs, or is removed',
      'test/focus.test.ts:7: .skip: every test runs, or is removed',
      'test/focus.test.ts:8: .todo: every test runs, or is removed',
      'test/focus.test.ts:11: sleep: wait for a condition with until() of test/waiting.ts',
      'test/focus.test.ts:13: sleep: wait for a condition with until() of test/waiting.ts',
    ])
  })

  it('would notice banned words', () => {
    const found = readTexts(fixture('banned'), 'notes').flatMap(bannedInText)
    const lines = found.map((line) => line.split(': ', 2).join(': '))
    expect(lines).toEqual([
      'notes/words.md:3: reminder word',
      'notes/words.md:4: reminder word',
      'notes/words.md:5: path of one machine',
      'notes/words.md:6: path of one machine',
      'notes/words.md:7: registry host',
    ])
  })

  it('would notice a bucket folder', () => {
    expect(
      bucketFolders(['src/utils/a.ts', 'src/utils/b.ts', 'test/x/common/c.ts', 'src/types.ts']),
    ).toEqual([
      'src/utils/: name the folder after what is in it',
      'test/x/common/: name the folder after what is in it',
    ])
  })
})
