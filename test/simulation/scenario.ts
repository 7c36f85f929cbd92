/**
 * Short stories of one shard, told in a few words each, with nothing left to chance: three nodes, one
 * caller, and whatever the story says. Decides: the words, and which events stand in its trace.
 *
 *   take NODE                    starts the node if need be; a new view names it
 *   start|get|pause|resume ADDRESS [as NAME]     send ADDRESS EVENT [FIELD=NUMBER] [as NAME]
 *   again NAME                   the same command once more
 *   crash|restart|freeze|thaw NODE      freeze NODE after STEPS      crash NODE after STEPS
 *   hold NODE, release NODE arrive|lose          its line to the journal
 *   cut A B, heal                messages from A to B
 *   full NODE, break NODE        its disk refuses the next write; fails the next flush
 *   lose COUNT, power            the journal's server dies: without its last slots; without what it had not synced
 *   sync                         the journal's server syncs its disk
 *   advance MS
 *   expect NAME CODE             what a command was answered; `nothing` when it was not
 *   expect seen ADDRESS FIELD VALUE      of the context, as the journal has it
 */
import type { Command } from '../../src/protocol/index.ts'
import { lineOf } from './account.ts'
import { check } from './checkers/index.ts'
import type { SimEvent } from './events.ts'
import type { SimNode } from './node.ts'
import { calm, type Parameters } from './parameters.ts'
import { World } from './world.ts'

const SHARD = 0
const PATIENCE_MS = 20_000
const LEFT_OUT = new Set(['flushed', 'slot-known', 'read-began'])

export interface Told {
  trace: string
  problems: string[]
}

export function tell(text: string): Told {
  const story = new Story()
  const problems: string[] = []
  text.split('\n').forEach((line, index) => {
    const words = line.replace(/#.*/, '').trim().split(/\s+/)
    if (words[0] === '') return
    const problem = story.take(words)
    if (problem !== undefined) problems.push(`line ${index + 1}: ${line.trim()}: ${problem}`)
  })
  const { events } = story
  for (const { checker, what } of check(events)) problems.push(`${checker}: ${what}`)
  const lines = events.filter(({ kind }) => !LEFT_OUT.has(kind)).map(lineOf)
  return { trace: `${lines.join('\n')}\n`, problems }
}

function plain(parameters: Parameters): void {
  calm(parameters)
  Object.assign(parameters, { shards: 1, skewMs: 0, drift: 0, clients: 1, workers: 1, actors: 5 })
  Object.assign(parameters.network, { latencyMs: 1 })
  Object.assign(parameters.disk, { flushMs: 1 })
  Object.assign(parameters.journal, { latencyMs: 1, timeoutMs: 2_000 })
  Object.assign(parameters.limits, { batchCountMax: 64, stepsPerBatchMax: 4_096 })
}

class Story {
  readonly #world = new World({ seed: 1, given: { nodes: 3, logic: 'oracle' }, tune: plain })
  readonly #commands = new Map<string, Command & { id: string }>()
  readonly #answers = new Map<string, string>()
  #views = 0
  #unnamed = 0

  get events(): readonly SimEvent[] {
    return this.#world.events
  }

  /** Undefined when all is well. */
  take(words: readonly string[]): string | undefined {
    const [verb = '', ...rest] = words
    switch (verb) {
      case 'advance':
        this.#world.base.advance(Number(rest[0]))
        return undefined
      case 'start':
      case 'get':
      case 'pause':
      case 'resume':
      case 'send':
        return this.#command(verb, rest)
      case 'again':
        return this.#again(rest[0] ?? '')
      case 'expect':
        return this.#expect(rest)
      case 'cut':
        this.#world.around.network.cut(rest[0] ?? '', rest[1] ?? '')
        return undefined
      case 'heal':
        this.#world.around.network.heal()
        return undefined
      case 'sync':
        this.#world.around.journal.sync(SHARD)
        return undefined
      case 'lose':
      case 'power':
        return this.#lose(verb === 'lose' ? Number(rest[0]) : undefined)
      default:
        return this.#node(verb, rest)
    }
  }

  #node(verb: string, [name, ...rest]: readonly string[]): string | undefined {
    const node = this.#world.nodes.find((one) => one.name === name)
    if (!node) return `there is no node ${name}`
    const steps = rest[0] === 'after' ? Number(rest[1]) : undefined
    switch (verb) {
      case 'take':
        node.start()
        this.#views += 1
        node.letGo(SHARD)
        node.open(SHARD, this.#views, this.#world.parameters.limits)
        return undefined
      case 'restart':
        node.crash('restart')
        node.start()
        return undefined
      case 'crash':
        return after(node, steps, () => node.crash('kill -9'))
      case 'freeze':
        return after(node, steps, () => {
          this.#world.recorder.add({ kind: 'frozen', node: node.name })
          node.life?.process.freeze()
        })
      case 'thaw':
        this.#world.recorder.add({ kind: 'thawed', node: node.name })
        node.life?.process.thaw()
        return undefined
      case 'hold':
        node.life?.journal.hold()
        return undefined
      case 'release':
        node.life?.journal.release(rest[0] === 'lose' ? 'lose' : 'arrive')
        return undefined
      case 'full':
        node.store?.inner.failNext('full')
        return undefined
      case 'break':
        node.store?.inner.failNextFlush()
        return undefined
      default:
        return `nobody knows how to ${verb}`
    }
  }

  #command(op: string, words: readonly string[]): string | undefined {
    const [address = '', ...rest] = words
    const at = rest.indexOf('as')
    this.#unnamed += 1
    const name = at >= 0 ? (rest[at + 1] ?? '') : `unnamed ${this.#unnamed}`
    const more = at >= 0 ? rest.slice(0, at) : rest
    const [caller] = this.#world.callers
    const command = { address, op, id: caller!.newId() } as Command & { id: string }
    if (op === 'send') Object.assign(command, { event: eventOf(more) })
    if (op === 'get') {
      this.#world.recorder.add({ kind: 'read-began', id: command.id, address })
    }
    this.#commands.set(name, command)
    return this.#again(name)
  }

  #again(name: string): string | undefined {
    const command = this.#commands.get(name)
    if (!command) return `there is no command ${name}`
    this.#world.callers[0]!.call(command, PATIENCE_MS, (outcome) => {
      const code = outcome && ('ok' in outcome ? 'ok' : outcome.error.code)
      this.#answers.set(name, code ?? 'gave-up')
    })
    return undefined
  }

  #expect(words: readonly string[]): string | undefined {
    const [name = '', ...rest] = words
    if (name === 'seen') {
      const [address = '', field = '', value = ''] = rest
      const found = this.#world.mirror.actors(SHARD).get(address)?.context[field]
      return String(found) === value ? undefined : `it is ${String(found)}`
    }
    const answer = this.#answers.get(name) ?? 'nothing'
    return answer === rest[0] ? undefined : `it was answered ${answer}`
  }

  #lose(count: number | undefined): undefined {
    const { journal } = this.#world.around
    if (count === undefined) journal.loseUnsynced(SHARD)
    else journal.loseLast(SHARD, count)
    const end = journal.end(SHARD)
    const lastSlot = end.kind === 'known' ? end.lastSlot : 0
    this.#world.recorder.add({ kind: 'slots-lost', shard: SHARD, lastSlot })
    for (const { life } of this.#world.nodes) life?.journal.cut()
    return undefined
  }
}

function after(node: SimNode, steps: number | undefined, happen: () => void): undefined {
  if (steps === undefined) happen()
  else node.life?.process.tripAfter(steps, happen)
  return undefined
}

function eventOf([type = '', ...fields]: readonly string[]): object {
  const values = fields.map((field) => {
    const [name = '', value = ''] = field.split('=')
    return [name, Number.isNaN(Number(value)) ? value : Number(value)]
  })
  return { type, ...(Object.fromEntries(values) as object) }
}
