/** The rules of the linter that matter most are on: some are young and could vanish in an update. */
import { spawnSync } from 'node:child_process'
import { copyFileSync, mkdirSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, it } from 'vitest'
import { fixture, ROOT } from './sources.ts'

it('finds promises that nobody waits for, any and console', () => {
  // Outside of the repository, whose configuration leaves fixtures out.
  const folder = mkdtempSync(join(tmpdir(), 'troupe-lint-'))
  try {
    mkdirSync(join(folder, 'src'))
    for (const name of ['biome.json', 'tsconfig.json'])
      copyFileSync(join(ROOT, name), join(folder, name))
    copyFileSync(join(fixture('linter'), 'floating.ts'), join(folder, 'src/floating.ts'))
    const biome = join(ROOT, 'node_modules/@biomejs/biome/bin/biome')
    const { status, stdout } = spawnSync(
      process.execPath,
      [biome, 'lint', '--reporter=github', 'src'],
      { cwd: folder, encoding: 'utf8' },
    )
    const errors = [...stdout.matchAll(/^::error title=lint\/\w+\/(\w+),.*?,line=(\d+),/gm)]
    expect(status).toBe(1)
    expect(errors.map(([, rule, line]) => `${line} ${rule}`).sort()).toEqual([
      '10 noMisusedPromises',
      '12 noExplicitAny',
      '13 noConsole',
      '6 noFloatingPromises',
      '7 noMisusedPromises',
    ])
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
})
