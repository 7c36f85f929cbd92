/** The command line of the simulator. Decides: the options, their defaults, what a wrong one is told. */
import type { Parameters } from './parameters.ts'

export interface SimOptions {
  /** From and to, both included. */
  seeds: [number, number] | undefined
  nodes: number | undefined
  /** Who names owners; by the seed when absent. */
  logic: Parameters['logic'] | undefined
  /** Clients never rest, and think half as long. */
  busy: boolean
  losses: boolean
  /** Drawn charts in any case; by the seed when false. */
  charts: boolean
  /** Tasks are run by the production worker. */
  workers: boolean
  /** The store moves units of its volumes, and nothing else is asked of the world. */
  moves: boolean
  minutes: number
  trace: boolean
  json: boolean
  bugs: boolean
  /** What was found goes into the table of README.md. */
  write: boolean
  /** Names of bugs to try; all when empty. */
  only: string | undefined
}

export const USAGE = `npm run sim -- [--seed N | --seeds A..B] [--nodes 5] [--logic cluster|oracle|embedded|founding] [--busy] [--losses] [--charts] [--workers] [--moves] [--minutes 1] [--trace] [--json]
npm run sim -- --bugs [--only PART OF A NAME] [--seeds 1..200] [--minutes 1] [--write]`

export function readOptions(words: readonly string[]): SimOptions | { problem: string } {
  const options: SimOptions = {
    seeds: undefined,
    nodes: undefined,
    logic: undefined,
    busy: false,
    losses: false,
    charts: false,
    workers: false,
    moves: false,
    minutes: 1,
    trace: false,
    json: false,
    bugs: false,
    write: false,
    only: undefined,
  }
  for (let at = 0; at < words.length; at++) {
    const word = words[at]!
    if (isFlag(word)) {
      options[word.slice(2) as Flag] = true
      continue
    }
    const value = words[++at]
    if (value === undefined) return { problem: `${word} needs a value` }
    const problem = readValue(options, word, value)
    if (problem !== undefined) return { problem }
  }
  return options
}

const FLAGS = [
  'trace',
  'json',
  'bugs',
  'busy',
  'losses',
  'charts',
  'workers',
  'moves',
  'write',
] as const
type Flag = (typeof FLAGS)[number]

function isFlag(word: string): boolean {
  return FLAGS.some((flag) => word === `--${flag}`)
}

const LOGICS = ['cluster', 'oracle', 'embedded', 'founding'] as const

function isLogic(word: string): word is Parameters['logic'] {
  return (LOGICS as readonly string[]).includes(word)
}

function readValue(options: SimOptions, word: string, value: string): string | undefined {
  const number = Number(value)
  switch (word) {
    case '--seed':
      if (!Number.isSafeInteger(number)) return `${value} is no seed`
      options.seeds = [number, number]
      return undefined
    case '--seeds': {
      const [from, to] = value.split('..').map(Number)
      if (!Number.isSafeInteger(from) || !Number.isSafeInteger(to)) return `${value} is no A..B`
      options.seeds = [from!, to!]
      return undefined
    }
    case '--nodes':
      if (!Number.isSafeInteger(number) || number < 1) return `${value} is no number of nodes`
      options.nodes = number
      return undefined
    case '--logic':
      if (!isLogic(value)) return `--logic is ${LOGICS.join(', ')}`
      options.logic = value
      return undefined
    case '--minutes':
      if (!(number > 0)) return `${value} is no number of minutes`
      options.minutes = number
      return undefined
    case '--only':
      options.only = value
      return undefined
    default:
      return `there is no option ${word}`
  }
}
