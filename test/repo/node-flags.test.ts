/** However a node is started, Node is told the same; commands start without flags, which cost them time. */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, it } from 'vitest'
import { ROOT } from './sources.ts'

function flagsOf(command: string): string[] {
  return command.split(/[\s",[\]]+/).filter((word) => word.startsWith('--'))
}

function linesOf(file: string): string[] {
  return readFileSync(join(ROOT, file), 'utf8').split('\n')
}

it('npm start and the container give Node the same flags', () => {
  const { scripts } = JSON.parse(linesOf('package.json').join('\n')) as {
    scripts: { start: string }
  }
  const entry = linesOf('Dockerfile').find((line) => line.startsWith('ENTRYPOINT')) ?? ''
  expect(flagsOf(scripts.start)).not.toEqual([])
  expect(flagsOf(entry)).toEqual(flagsOf(scripts.start))
})

it('the program itself asks for none: with one, Node reads its own modules without their cached code', () => {
  expect(linesOf('src/main.ts')[0]).toBe('#!/usr/bin/env node')
})
