/** The program and `npm start` are one thing: what Node is told is the same in both. */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, it } from 'vitest'
import { ROOT } from './sources.ts'

function flagsOf(command: string): string[] {
  const words = command.trim().split(/\s+/)
  return words.slice(words.indexOf('node') + 1).filter((word) => word.startsWith('--'))
}

it('npm start and the program itself give Node the same flags', () => {
  const manifest = readFileSync(join(ROOT, 'package.json'), 'utf8')
  const { scripts } = JSON.parse(manifest) as { scripts: { start: string } }
  const [firstLine = ''] = readFileSync(join(ROOT, 'src/main.ts'), 'utf8').split('\n')
  expect(firstLine).toMatch(/^#!\/usr\/bin\/env -S node /)
  expect(flagsOf(firstLine)).not.toEqual([])
  expect(flagsOf(scripts.start)).toEqual(flagsOf(firstLine))
})
