/** A small source tree in a folder of its own, with the packages of this one; it goes with the test. */
import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { onTestFinished } from 'vitest'

const PACKAGES = join(import.meta.dirname, '../../node_modules')

/** @param files texts by path @returns where they are */
export function makeTree(files: Readonly<Record<string, string>>): string {
  const root = mkdtempSync(join(tmpdir(), 'troupe-build-'))
  onTestFinished(() => rmSync(root, { recursive: true, force: true }))
  symlinkSync(PACKAGES, join(root, 'node_modules'))
  addFiles(root, { 'package.json': '{"type":"module"}', ...files })
  return root
}

export function addFiles(root: string, files: Readonly<Record<string, string>>): void {
  for (const [path, text] of Object.entries(files)) {
    mkdirSync(dirname(join(root, path)), { recursive: true })
    writeFileSync(join(root, path), text)
  }
}
