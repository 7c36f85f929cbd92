/** Every verb that ships, found by its help: each says what it does, with examples that are true, and speaks JSON. */
import { expect, it } from 'vitest'
import { lazyApps } from '../../machines/light.ts'
import { run } from './rig.ts'

interface Word {
  path: string[]
  help: string
  below: string[]
}

async function wordOf(path: string[]): Promise<Word> {
  const { code, out, err } = await run([...path, '--help'], { apps: lazyApps })
  expect([path, code], err).toEqual([path, 0])
  const [, commands = ''] = /\nCommands:\n((?: {2}.*\n)+)/.exec(out) ?? []
  const names = [...commands.matchAll(/^ {2}(\S+)/gm)].map(([, name]) => name ?? '')
  return { path, help: out, below: names.filter((name) => name !== 'help') }
}

async function* words(path: string[] = []): AsyncGenerator<Word> {
  const word = await wordOf(path)
  yield word
  for (const name of word.below) yield* words([...path, name])
}

/** What a person types, without what a shell makes of it. */
function examplesOf({ help }: Word): string[] {
  const [, text = ''] = /\nExamples:\n((?: {2}.*(?:\n|$))+)/.exec(help) ?? []
  const lines = text.split('\n').map((line) => line.trim().replace(/^\$ /, ''))
  return lines.filter((line) => line !== '')
}

const optionsIn = (text: string) => text.match(/(?<=\s)--[a-z][a-z-]*/g) ?? []

it('says what it is for', async () => {
  const verbs: string[] = []
  for await (const word of words()) {
    const name = ['troupe', ...word.path].join(' ')
    const [, described = ''] = /^Usage: .*\n\n([\s\S]*?)\n\n/.exec(word.help) ?? []
    expect(described, name).not.toBe('')
    expect(described, name).not.toMatch(/^verbs of the app/)
    if (word.below.length > 0) continue
    verbs.push(name)
    expect(word.help, name).toMatch(/^ {2}--json /m)
    const examples = examplesOf(word)
    expect(examples.length, `${name}: ${word.help}`).toBeGreaterThan(0)
    const known = new Set([...optionsIn(word.help.split('\nExamples:')[0] ?? '')])
    // Beside them may stand what makes ready for them.
    const own = examples.filter((example) => example.includes(name))
    expect(own.length, `${name}: ${examples}`).toBeGreaterThan(0)
    for (const example of own) {
      // What follows a bare `--`, a pipe or a comment is not ours.
      const [words = ''] = example.slice(example.indexOf(name)).split(/ -- | \| | # /)
      for (const option of optionsIn(words))
        expect([name, option, known.has(option)]).toEqual([name, option, true])
    }
  }
  expect(verbs.length).toBeGreaterThan(40)
  expect(verbs).toContain('troupe actors get')
  expect(verbs).toContain('troupe jobs submit')
}, 60_000)
