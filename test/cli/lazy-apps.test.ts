/** Apps that are loaded in parts: a command line loads what it names, and help knows what there is. */
import { beforeEach, describe, expect, it } from 'vitest'
import { type AppVerb, defineApp, type LazyApp } from '../../src/index.ts'
import { run } from './rig.ts'

let loaded: string[]
let farm: LazyApp

beforeEach(() => {
  loaded = []
  const verbs = (...paths: string[]) => {
    const made = paths.map(
      (path): AppVerb => ({
        path: path.split(' '),
        summary: `does ${path}`,
        run: async ({ print }) => print(`done: ${path}`),
      }),
    )
    return async () => {
      loaded.push(paths.join(', '))
      return made
    }
  }
  farm = {
    name: 'farm',
    verbGroups: { farm: 'the animals', 'farm cow': 'cows only', 'actors herd': 'many at a time' },
    verbs: {
      'farm cow': verbs('farm cow milk', 'farm sheep shear'),
      'farm sheep': verbs('farm sheep shear'),
      'actors herd': verbs('actors herd count'),
    },
    load: async () => {
      loaded.push('all')
      return defineApp({ name: 'farm' })
    },
  }
})

describe('a command line', () => {
  it('loads the verbs that it names and nothing else', async () => {
    const { code, out } = await run(['farm', 'cow', 'milk'], { apps: [farm] })
    expect([code, out]).toEqual([0, 'done: farm cow milk\n'])
    // Of what came along, only those that begin with its words are there.
    expect(loaded).toEqual(['farm cow milk, farm sheep shear'])
  })

  it('finds verbs below words of the command itself', async () => {
    const { code, out } = await run(['actors', 'herd', 'count'], { apps: [farm] })
    expect([code, out]).toEqual([0, 'done: actors herd count\n'])
    expect(loaded).toEqual(['actors herd count'])
  })

  it('suggests what it has not loaded', async () => {
    const { code, err } = await run(['frm', 'cow', 'milk'], { apps: [farm] })
    expect(code).toBe(2)
    expect(err).toMatch(/Did you mean farm\?/)
  })
})

describe('help', () => {
  it('of everything loads nothing', async () => {
    const { code, out } = await run(['--help'], { apps: [farm] })
    expect(code).toBe(0)
    expect(out).toMatch(/^ {2}farm +the animals$/m)
    expect(loaded).toEqual([])
  })

  it('of a word names the words below it', async () => {
    for (const argv of [
      ['farm', '--help'],
      ['help', 'farm'],
    ]) {
      const { code, out } = await run(argv, { apps: [farm] })
      expect(code).toBe(0)
      expect(out).toMatch(/^ {2}cow +cows only$/m)
      expect(out).toMatch(/^ {2}sheep/m)
    }
    expect(loaded).toEqual([])
    const { out } = await run(['actors', '--help'], { apps: [farm] })
    expect(out).toMatch(/^ {2}herd +many at a time$/m)
    expect(out).toMatch(/^ {2}list /m)
  })

  it('of the last word lists its verbs', async () => {
    const { out } = await run(['farm', 'cow', '--help'], { apps: [farm] })
    expect(out).toMatch(/^ {2}milk .*does farm cow milk$/m)
    expect(out).not.toMatch(/shear/)
  })
})

describe('another app', () => {
  const withVerb = (path: string) =>
    defineApp({
      name: 'guest',
      verbs: [{ path: path.split(' '), summary: '', run: async ({ print }) => print('guest') }],
    })

  it('may add verbs below the same words', async () => {
    const apps = [farm, withVerb('farm cow call')]
    expect((await run(['farm', 'cow', 'call'], { apps })).out).toBe('guest\n')
    expect((await run(['farm', 'cow', 'milk'], { apps })).out).toBe('done: farm cow milk\n')
    const { out } = await run(['farm', '--help'], { apps })
    expect(out).toMatch(/^ {2}sheep/m)
  })

  // Said where nothing of it is named.
  it.each([
    ['farm cow milk', 'it is there already'],
    ['farm cow milk warm', '"milk" is a verb already'],
    ['farm cow', 'it is there already'],
    ['farm', 'it is there already'],
    ['actors list', 'it is there already'],
  ])('cannot bring %s', async (path, why) => {
    const { code, err } = await run(['machines', 'list'], { apps: [farm, withVerb(path)] })
    expect(code).toBe(2)
    expect(err).toContain(`app guest brings the verb "troupe ${path}": ${why}`)
  })
})

it('what hosts loads all of it', async () => {
  const { err } = await run(['worker', '--slots', 'none'], { apps: [farm] })
  expect(err).toMatch(/--slots/)
  expect(loaded).toEqual(['all'])
})
