/**
 * Code and documentation list the same errors: the table under `## Errors` in README.md (or in
 * src/ARCHITECTURE.md), whose first column holds the codes, and ERROR_CODES in src/protocol.
 */
import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, it } from 'vitest'
import { ERROR_CODES } from '../../src/protocol/index.ts'
import { fixture, ROOT } from './sources.ts'

const PAGES = ['README.md', 'src/ARCHITECTURE.md']

/** The codes in backticks in the first column below `## Errors`; undefined without that heading. */
function documentedCodes(markdown: string): string[] | undefined {
  const lines = markdown.split('\n')
  const start = lines.findIndex((line) => /^##+ errors\b/i.test(line))
  if (start < 0) return undefined
  const length = lines.slice(start + 1).findIndex((line) => /^##? /.test(line))
  const section = lines.slice(start + 1, length < 0 ? undefined : start + 1 + length)
  return section.flatMap((line) => /^\|\s*`([^`]+)`\s*\|/.exec(line)?.[1] ?? [])
}

function differences(markdown: string, codes: readonly string[]): string[] {
  const documented = documentedCodes(markdown)
  if (documented === undefined) return ['there is no section "## Errors"']
  return [
    ...codes
      .filter((code) => !documented.includes(code))
      .map((code) => `${code}: is not documented`),
    ...documented
      .filter((code) => !codes.includes(code))
      .map((code) => `${code}: is documented but does not exist`),
    ...documented
      .filter((code, index) => documented.indexOf(code) !== index)
      .map((code) => `${code}: is documented twice`),
  ]
}

it('every error code is documented, and no other', () => {
  const pages = PAGES.map((path) => join(ROOT, path)).filter((path) => existsSync(path))
  const page = pages
    .map((path) => readFileSync(path, 'utf8'))
    .find((markdown) => documentedCodes(markdown) !== undefined)
  expect(page, `neither ${PAGES.join(' nor ')} has a section "## Errors" yet`).toBeDefined()
  expect(differences(page!, Object.keys(ERROR_CODES))).toEqual([])
})

it('would notice a code that is missing, made up or listed twice', () => {
  const page = readFileSync(join(fixture('errors'), 'README.md'), 'utf8')
  expect(differences(page, ['busy', 'conflict', 'expired'])).toEqual([
    'expired: is not documented',
    'imagined: is documented but does not exist',
    'busy: is documented twice',
  ])
  expect(differences(page, ['busy', 'conflict', 'imagined'])).toEqual(['busy: is documented twice'])
  expect(differences('# Troupe\n', [])).toEqual(['there is no section "## Errors"'])
})
