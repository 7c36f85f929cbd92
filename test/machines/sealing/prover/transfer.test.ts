/** Files between stores: whole, repeatable, and never into a file of others. */

import { randomBytes } from 'node:crypto'
import {
  existsSync,
  linkSync,
  mkdirSync,
  readFileSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { pathToFileURL } from 'node:url'
import { afterEach, beforeEach, expect, it } from 'vitest'
import { perform, type RawTask, Sector } from './rig.ts'

type Route = RawTask<'transfer'>['routes'][number]

let sector: Sector
const data = randomBytes(3 * 1024 ** 2 + 5)
beforeEach(() => {
  sector = new Sector()
  mkdirSync(sector.at('from/inner'), { recursive: true })
  writeFileSync(sector.at('from/one'), data)
  writeFileSync(sector.at('from/inner/two'), 'two')
})
afterEach(() => sector.remove())

async function move(...routes: Route[]): Promise<unknown> {
  return await perform('transfer', { stores: { long: { name: 'long' } }, routes })
}

function route(from: string, to: string, opt: Route['opt'] = null): Route {
  return {
    src: { store_name: null, uri: sector.at(from) },
    dest: { store_name: 'long', uri: sector.at(to) },
    opt,
  }
}

const inode = (name: string) => statSync(sector.at(name)).ino

it('copies files and directories, over what is there', async () => {
  mkdirSync(sector.at('to'))
  writeFileSync(sector.at('to/one'), 'old')
  const both = [route('from/one', 'to/one'), route('from', 'all', { is_dir: true })]
  expect(await move(...both)).toBe(true)
  expect(await move(...both)).toBe(true)
  expect(readFileSync(sector.at('to/one')).equals(data)).toBe(true)
  expect(readFileSync(sector.at('all/one')).equals(data)).toBe(true)
  expect(readFileSync(sector.at('all/inner/two'), 'utf8')).toBe('two')
  expect(inode('to/one')).not.toBe(inode('from/one'))
  expect(existsSync(sector.at('to/one.part'))).toBe(false)
})

it('links where that is allowed, again and again', async () => {
  const one = route('from/one', 'to/one', { allow_link: true })
  await move(one)
  await move(one)
  expect(inode('to/one')).toBe(inode('from/one'))
  expect(existsSync(sector.at('to/one.part'))).toBe(false)
})

it('copies over a symbolic link, and leaves alone what it leads to', async () => {
  writeFileSync(sector.at('other'), 'other')
  mkdirSync(sector.at('to'))
  symlinkSync(sector.at('other'), sector.at('to/one'))
  await move(route('from/one', 'to/one'))
  expect(readFileSync(sector.at('to/one')).equals(data)).toBe(true)
  expect(readFileSync(sector.at('other'), 'utf8')).toBe('other')
})

it('never writes into the link that a cut try left', async () => {
  mkdirSync(sector.at('to'))
  linkSync(sector.at('from/one'), sector.at('to/two.part'))
  await move(route('from/inner/two', 'to/two'))
  expect(readFileSync(sector.at('from/one')).equals(data)).toBe(true)
  expect(readFileSync(sector.at('to/two'), 'utf8')).toBe('two')
})

it('takes urls of files, and a file that is there already', async () => {
  const uri = pathToFileURL(sector.at('from/one')).href
  await move({ src: { uri }, dest: { uri: sector.at('to one') } })
  expect(readFileSync(sector.at('to one')).equals(data)).toBe(true)
  await move(route('from/one', 'from/one'), route('from', 'from', { is_dir: true }))
  expect(readFileSync(sector.at('from/one')).equals(data)).toBe(true)
})

it('looks at every route before it moves anything', async () => {
  const good = route('from/one', 'to/one')
  const uri = sector.at('from/one')
  const bad: [Route, RegExp][] = [
    [{ ...good, dest: { store_name: 'unknown', uri } }, /"unknown" is not among/],
    [{ ...good, dest: { uri: 'to/one' } }, /no absolute path/],
    [{ ...good, src: { uri: 'http://127.0.0.1/one' } }, /no absolute path/],
    [route('from/gone', 'to/gone'), /ENOENT/],
    [route('from', 'to'), /is no file/],
    [route('from/one', 'to', { is_dir: true }), /is no directory/],
    [route('from', 'from/inner/again', { is_dir: true }), /into itself/],
  ]
  for (const [one, why] of bad) {
    await expect(move(good, one)).rejects.toThrow(why)
    expect(existsSync(sector.at('to'))).toBe(false)
  }
})
