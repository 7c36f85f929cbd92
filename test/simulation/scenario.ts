/**
 * Short stories of one shard, told in a few words each, with nothing left to chance: three nodes, one
 * caller, two workers, and whatever the story says. Decides: the words, and which events stand in
 * its trace. A story says who owns the shard, or begins with `cluster` and leaves that to the nodes.
 *
 *   cluster                      starts all nodes with the cluster's own logic
 *   embedded                     no journal: n1 and n2 are processes on one data directory
 *   take NODE                    starts the node if need be; a new view names it
 *   leave NODE                   it hands over what it serves, and ends
 *   start|get|pause|resume ADDRESS [FIELD=VALUE] [as NAME]
 *   send ADDRESS EVENT [FIELD=VALUE] [as NAME]
 *   again NAME                   the same command once more
 *   crash|restart|freeze|thaw NODE      freeze NODE after STEPS      crash NODE after STEPS
 *   upgrade NODE                 it dies, and knows version 2 when it comes back
 *   jump NODE MS, drift NODE RATE       its wall clock; seconds per second, from its next start on
 *   hold NODE, release NODE arrive|lose          its line to the journal
 *   next NODE unanswered|late MS         its next write is not answered, and lands at once, or so much later
 *   stale NODE                   the next question is answered by a leader of the journal that was deposed
 *   cut A B, heal                messages from A to B
 *   watches fail|work, registry MS       the registry tells of no change; how long each way takes
 *   full NODE, break NODE        its disk refuses the next write; fails the next flush
 *   lose COUNT, power            the journal's server dies: without its last slots; without what it had not synced
 *   sync                         the journal's server syncs its disk
 *   worker NAME starts|dies|freezes|thaws        worker NAME works MS
 *   disk MS, blackout            how long a flush takes; all nodes end, and what was not flushed is gone
 *   advance MS
 *   expect NAME CODE             what a command was answered; `nothing` when it was not
 *   expect seen ADDRESS FIELD VALUE      of the context, as the journal has it
 *   expect state ADDRESS STATE           as the journal has it
 *   expect owner [NODE]          who serves; two for a moment, when one does not know yet
 */
import type { Command } from '../../src/protocol/index.ts'
import { lineOf } from './account.ts'
import { check } from './checkers/index.ts'
import type { SimEvent } from './events.ts'
import type { SimNode } from './node.ts'
import { calm, type Parameters } from './parameters.ts'
import { type Parts, REAL } from './parts.ts'
import type { JournalLine } from './sim-journal.ts'
import { World } from './world.ts'

const SHARD = 0
const PATIENCE_MS = 20_000
const LEFT_OUT = new Set(['flushed', 'slot-known', 'read-began'])

export interface Told {
  trace: string
  problems: string[]
}

/** @param parts other than the real ones: would the story notice? */
export function tell(text: string, parts: Parts = REAL): Told {
  const story = new Story(parts)
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
  const counts = {
    shards: 1,
    clients: 1,
    readers: 0,
    askers: 0,
    sideCallers: 0,
    workers: 2,
    actors: 5,
  }
  Object.assign(parameters, { ...counts, skewMs: 0, drift: 0 })
  Object.assign(parameters.network, { latencyMs: 1 })
  Object.assign(parameters.disk, { flushMs: 1 })
  Object.assign(parameters.journal, { latencyMs: 1, timeoutMs: 2_000 })
  Object.assign(parameters.registry, { latencyMs: 1, watchGapChance: 0 })
  Object.assign(parameters.queue, { ackWaitMs: 800 })
  Object.assign(parameters.limits, { batchCountMax: 64, stepsPerBatchMax: 4_096, leaseMs: 1_500 })
}

type Verb = (words: readonly string[]) => string | undefined
type NodeVerb = (node: SimNode, words: readonly string[]) => string | undefined

class Story {
  readonly #parts: Parts
  #world: World
  readonly #commands = new Map<string, Command & { id: string }>()
  readonly #answers = new Map<string, string>()
  #views = 0
  #unnamed = 0

  constructor(parts: Parts) {
    this.#parts = parts
    this.#world = worldOf('oracle', parts)
  }

  get events(): readonly SimEvent[] {
    return this.#world.events
  }

  /** Undefined when all is well. */
  take([verb = '', ...rest]: readonly string[]): string | undefined {
    const happen = this.#verbs[verb]
    if (happen) return happen(rest)
    const nodeVerb = this.#nodeVerbs[verb]
    if (!nodeVerb) return `nobody knows how to ${verb}`
    const node = this.#world.nodes.find(({ name }) => name === rest[0])
    return node ? nodeVerb(node, rest.slice(1)) : `there is no node ${rest[0]}`
  }

  readonly #verbs: Record<string, Verb> = {
    cluster: () => {
      this.#world = worldOf('cluster', this.#parts)
      for (const node of this.#world.nodes) node.start()
      return undefined
    },
    embedded: () => {
      this.#world = worldOf('embedded', this.#parts)
      return undefined
    },
    disk: ([ms]) => {
      this.#world.parameters.disk.flushMs = Number(ms)
      return undefined
    },
    blackout: () => {
      for (const node of this.#world.nodes) node.crash('the power has failed')
      this.#world.around.directory?.losePower()
      return undefined
    },
    advance: ([ms]) => {
      this.#world.base.advance(Number(ms))
      return undefined
    },
    start: (words) => this.#command('start', words),
    get: (words) => this.#command('get', words),
    pause: (words) => this.#command('pause', words),
    resume: (words) => this.#command('resume', words),
    send: (words) => this.#command('send', words),
    again: ([name]) => this.#again(name ?? ''),
    expect: (words) => this.#expect(words),
    cut: ([from = '', to = '']) => {
      this.#world.around.network.cut(from, to)
      this.#world.recorder.add({ kind: 'cut', from, to })
      return undefined
    },
    heal: () => {
      this.#world.around.network.heal()
      this.#world.recorder.add({ kind: 'healed' })
      return undefined
    },
    watches: ([how]) => {
      this.#world.parameters.registry.watchGapChance = how === 'fail' ? 1 : 0
      return undefined
    },
    registry: ([ms]) => {
      this.#world.parameters.registry.latencyMs = Number(ms)
      return undefined
    },
    sync: () => {
      this.#world.around.journal.sync(SHARD)
      return undefined
    },
    lose: ([count]) => this.#lose(Number(count)),
    power: () => this.#lose(undefined),
    worker: (words) => this.#worker(words),
  }

  readonly #nodeVerbs: Record<string, NodeVerb> = {
    take: (node) => {
      node.start()
      this.#views += 1
      node.letGo(SHARD)
      node.open(SHARD, this.#views, this.#world.parameters.limits)
      return undefined
    },
    leave: (node) => {
      node.leave('it was stopped')
      return undefined
    },
    restart: (node) => {
      node.crash('restart')
      node.start()
      return undefined
    },
    upgrade: (node) => {
      node.crash('it is upgraded')
      node.version = 2
      return undefined
    },
    crash: (node, words) => after(node, words, () => node.crash('kill -9')),
    freeze: (node, words) =>
      after(node, words, () => {
        this.#world.recorder.add({ kind: 'frozen', node: node.name })
        node.life?.process.freeze()
      }),
    thaw: (node) => {
      this.#world.recorder.add({ kind: 'thawed', node: node.name })
      node.life?.process.thaw()
      return undefined
    },
    jump: (node, [ms]) => {
      node.jump(Number(ms))
      return undefined
    },
    drift: (node, [rate]) => {
      node.drift(Number(rate))
      return undefined
    },
    hold: (node) => this.#line(node, 'held', (line) => line.hold()),
    release: (node, [how]) => {
      const end = how === 'lose' ? 'lose' : 'arrive'
      return this.#line(node, end, (line) => line.release(end))
    },
    next: (node, [how = '', ms]) => {
      const late = how === 'late' ? { landsAfterMs: Number(ms) } : {}
      const fault = { on: 'write', shard: SHARD, happened: true, ...late } as const
      return this.#line(node, `its next write: ${how}`, (line) => line.failNext(fault))
    },
    stale: (node) => this.#line(node, 'a stale answer', (line) => line.beStaleOnce()),
    full: (node) => {
      node.store?.inner.failNext('full')
      return undefined
    },
    break: (node) => {
      node.store?.inner.failNextFlush()
      return undefined
    },
  }

  #line(node: SimNode, how: string, change: (line: JournalLine) => void): string | undefined {
    const { life, name } = node
    if (!life) return `${name} is down`
    this.#world.recorder.add({ kind: 'line', node: name, how })
    change(life.journal)
    return undefined
  }

  #worker([name, how, ms]: readonly string[]): string | undefined {
    const worker = this.#world.workers.find((one) => one.name === name)
    if (!worker) return `there is no worker ${name}`
    if (how === 'starts') worker.start()
    else if (how === 'dies') worker.crash()
    else if (how === 'freezes') worker.freeze()
    else if (how === 'thaws') worker.thaw()
    else if (how === 'works') worker.plan = { ms: Number(ms), fate: 0 }
    else return `no worker ${how}`
    return undefined
  }

  #command(op: string, words: readonly string[]): string | undefined {
    const [address = '', ...rest] = words
    const at = rest.indexOf('as')
    this.#unnamed += 1
    const name = at >= 0 ? (rest[at + 1] ?? '') : `unnamed ${this.#unnamed}`
    const more = at >= 0 ? rest.slice(0, at) : rest
    const [caller] = this.#world.callers
    const command = { address, op, id: caller!.newId() } as Command & { id: string }
    if (op === 'send')
      Object.assign(command, { event: { type: more[0], ...fieldsOf(more.slice(1)) } })
    else Object.assign(command, fieldsOf(more))
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
    if (name === 'state') {
      const state = this.#world.mirror.actors(SHARD).get(rest[0] ?? '')?.state
      return state === rest[1] ? undefined : `it is ${state}`
    }
    if (name === 'owner') {
      const owners = this.#world.nodes.filter((node) => node.serves(SHARD)).map((node) => node.name)
      return owners.join(' ') === rest.join(' ')
        ? undefined
        : `it is ${owners.join(' ') || 'nobody'}`
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

function worldOf(logic: Parameters['logic'], parts: Parts): World {
  return new World({ seed: 1, given: { nodes: 3, logic, charts: false }, tune: plain, parts })
}

/** At once, or when the node has taken so many steps more. */
function after(node: SimNode, [when, steps]: readonly string[], happen: () => void): undefined {
  if (when === 'after') node.life?.process.tripAfter(Number(steps), happen)
  else happen()
  return undefined
}

function fieldsOf(words: readonly string[]): object {
  const fields = words.map((word) => {
    const [name = '', value = ''] = word.split('=')
    if (value === 'true') return [name, true]
    return [name, Number.isNaN(Number(value)) ? value : Number(value)]
  })
  return Object.fromEntries(fields) as object
}
