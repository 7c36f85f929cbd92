/**
 * Writes down what happens in a node, as the simulator does in its worlds: at the ports, so that the node
 * itself is the one that is shipped.
 *
 * Decides: what is told, and when: what leaves the node is recorded before it leaves, what comes in before
 * the node has it. Then a list of all nodes by their common clock has causes before effects.
 */
import { LmdbStore } from '../../../src/adapters/lmdb/index.ts'
import type { ClusterPorts } from '../../../src/node/join.ts'
import { LiveActors } from '../../../src/node/live-host.ts'
import type {
  Checkpoints,
  Journal,
  Log,
  MessageHandler,
  TaskQueue,
  Transport,
} from '../../../src/ports/index.ts'
import {
  type Command,
  hashBytes,
  type Outcome,
  READ_OPERATIONS,
  subjectsOf,
  unpack,
} from '../../../src/protocol/index.ts'
import { decodeCheckpoint } from '../../../src/shard/checkpoint-form.ts'
import { slotOfTailKey, TABLE } from '../../../src/shard/keys.ts'
import type { Happening } from '../../simulation/events.ts'
import { pulseOf } from './machines.ts'
import { EventFile, type Raw } from './recorded.ts'

export interface RecorderOptions {
  name: string
  file: string
  cluster: string
  shards: number
}

/** What travels from shard to shard, as far as events tell of it. */
interface RelayRequest {
  from: number
  generation: number
  first: number
  messages: readonly unknown[]
}

type Asked = Command & { id: string }

export class NodeRecorder {
  readonly #node: string
  readonly #file: EventFile
  /** The shard of each subject that commands, or messages of other shards, come on. */
  readonly #commands = new Map<string, number>()
  readonly #relays = new Map<string, number>()
  readonly #written = new Set<string>()

  constructor({ name, file, cluster, shards }: RecorderOptions) {
    this.#node = name
    this.#file = new EventFile(file)
    const subjects = subjectsOf(cluster)
    for (let shard = 0; shard < shards; shard++) {
      this.#commands.set(subjects.shard(shard), shard)
      this.#relays.set(subjects.relay(shard), shard)
    }
    this.add({ kind: 'node-up', node: name, version: 1 })
  }

  add(event: Happening | Raw): void {
    this.#file.add(event)
  }

  ports(ports: ClusterPorts): ClusterPorts {
    return {
      ...ports,
      transport: this.#transport(ports.transport),
      journal: this.#journal(ports.journal),
      taskQueue: this.#taskQueue(ports.taskQueue),
      checkpoints: this.#checkpoints(ports.checkpoints),
    }
  }

  #journal(journal: Journal): Journal {
    const node = this.#node
    const seen = (shard: number, slot: number, hash: string, sequence: number) =>
      this.add({ kind: 'slot-seen', node, shard, slot, hash, sequence })
    return instead(journal, {
      write: (request, done) => {
        const { shard, slot, record: bytes } = request
        const hash = hashBytes(bytes)
        const record = this.#written.has(hash) ? '' : Buffer.from(bytes).toString('base64')
        this.#written.add(hash)
        this.add({ kind: 'write-began', node, shard, slot, hash, record })
        journal.write(request, (outcome) => {
          if (outcome.kind === 'written') seen(shard, slot, hash, outcome.sequence)
          if (outcome.kind === 'refused') this.add({ kind: 'refused', node, shard, slot })
          done(outcome)
        })
      },
      read: (shard, slot, done) =>
        journal.read(shard, slot, (outcome) => {
          if (outcome.kind === 'found') {
            seen(shard, slot, hashBytes(outcome.record), outcome.sequence)
          }
          done(outcome)
        }),
      remove: (shard, slot, done) => {
        this.add({ kind: 'slots-removed', node, shard, to: slot })
        journal.remove(shard, slot, done)
      },
    })
  }

  #transport(transport: Transport): Transport {
    return instead(transport, {
      subscribe: (subject, options, handle) =>
        transport.subscribe(
          subject,
          options,
          this.#commands.has(subject) ? this.#answering(handle) : handle,
        ),
      request: (request, done) => {
        this.#relayed(request.subject, request.payload)
        if (!this.#commands.has(request.subject)) return transport.request(request, done)
        const commands = unpack(request.payload) as Asked[]
        transport.request(request, (outcome) => {
          if (outcome.kind === 'reply') {
            const outcomes = unpack(outcome.payload) as Outcome[]
            for (const [at, command] of commands.entries()) this.#told(command, outcomes[at])
          }
          done(outcome)
        })
      },
    })
  }

  #relayed(subject: string, payload: Uint8Array): void {
    const target = this.#relays.get(subject)
    if (target === undefined) return
    const { from: shard, generation, first, messages } = unpack(payload) as RelayRequest
    const count = messages.length
    this.add({ kind: 'relayed', node: this.#node, shard, target, generation, first, count })
  }

  /** Replies to commands are told of before they leave. */
  #answering(handle: MessageHandler): MessageHandler {
    return (message) => {
      const { reply, payload } = message
      if (!reply) return handle(message)
      // The node takes what it is given apart: it is read before that.
      const commands = listOf(payload)
      handle({
        ...message,
        reply: (bytes) => {
          const outcomes = unpack(bytes) as Outcome[]
          for (const [at, command] of commands.entries()) this.#released(command, outcomes[at])
          reply(bytes)
        },
      })
    }
  }

  #released({ address, id, op }: Asked, outcome: Outcome | undefined): void {
    const isRead = READ_OPERATIONS.has(op)
    if (!outcome || (isRead && op !== 'get')) return
    const code = 'ok' in outcome ? 'ok' : outcome.error.code
    const event = { kind: 'released' as const, node: this.#node, address, id, code }
    if (op !== 'get') return this.add(event)
    // Others than the callers of the test read as well; checkers have to know that they are reads.
    this.add({ kind: 'read-began', id, address })
    const turn = 'ok' in outcome ? (outcome.ok as { turn: number }).turn : undefined
    this.add(turn === undefined ? event : { ...event, turn })
  }

  /** What the node's own worker was told. */
  #told(command: Asked, outcome: Outcome | undefined): void {
    const worker = this.#node
    if (command.op === 'task.start' && outcome && 'ok' in outcome) {
      const { taskId, attempt, token } = outcome.ok as Started
      this.add({ kind: 'task-began', worker, taskId, attempt, token })
    }
    if (command.op !== 'task.done' && command.op !== 'task.failed') return
    const { op, taskId, token } = command
    const code = outcome === undefined ? 'unknown' : 'ok' in outcome ? 'ok' : outcome.error.code
    this.add({ kind: 'task-reported', worker, taskId, token, op, code })
  }

  #taskQueue(queue: TaskQueue): TaskQueue {
    return instead(queue, {
      publish: (message, done) => {
        this.add({ kind: 'task-published', node: this.#node, taskId: message.taskId })
        queue.publish(message, done)
      },
    })
  }

  #checkpoints(checkpoints: Checkpoints): Checkpoints {
    const node = this.#node
    return instead(checkpoints, {
      record: (shard, slot, value, done) => {
        // Whether it is one is known later than others may see it.
        const hash = decodeCheckpoint({ slot, value })?.hash ?? ''
        this.add({ kind: 'checkpoint', node, shard, slot, hash, differs: null })
        checkpoints.record(shard, slot, value, done)
      },
      removeBelow: (shard, slot, done) => {
        this.add({ kind: 'checkpoints-removed', node, shard, below: slot })
        checkpoints.removeBelow(shard, slot, done)
      },
    })
  }

  /** The node opens its store itself: so every store of this process tells of the raw records it flushes. */
  watchStores(): void {
    const write = LmdbStore.prototype.write
    const add = this.add.bind(this)
    const node = this.#node
    LmdbStore.prototype.write = function (this: LmdbStore, transaction) {
      const tails = transaction.writes.filter(([key, value]) => key[2] === TABLE.tail && value)
      if (tails.length === 0) return write.call(this, transaction)
      write.call(this, {
        ...transaction,
        flushed: () => {
          for (const [key] of tails) {
            const shard = ((key[0] ?? 0) << 8) | (key[1] ?? 0)
            add({ kind: 'flushed', node, shard, slot: slotOfTailKey(key) })
          }
          transaction.flushed?.()
        },
      })
    }
  }

  /** What callbacks do is decided where they run, as in the simulator: they have to know who they are. */
  watchCallbacks(): void {
    const { start, stop, stopAll } = LiveActors.prototype
    const add = this.add.bind(this)
    const node = this.#node
    const running = new Map<string, number>()
    const ends = (effectId: string) => {
      const shard = running.get(effectId)
      if (shard === undefined) return
      running.delete(effectId)
      add({ kind: 'callback', node, shard, effectId, how: 'ends' })
    }
    let runs = 0
    LiveActors.prototype.start = function (this: LiveActors, child) {
      const { effectId, shard } = child
      if (running.has(effectId)) return
      running.set(effectId, shard)
      add({ kind: 'callback', node, shard, effectId, how: 'begins' })
      runs += 1
      start.call(this, { ...child, logic: pulseOf(effectId, `${node}.${process.pid}.${runs}`) })
    }
    LiveActors.prototype.stop = function (this: LiveActors, effectId) {
      stop.call(this, effectId)
      ends(effectId)
    }
    LiveActors.prototype.stopAll = function (this: LiveActors) {
      stopAll.call(this)
      for (const effectId of [...running.keys()]) ends(effectId)
    }
  }

  /** What the node says of its shards, in the words of the simulator. */
  log(log: Log): Log {
    const node = this.#node
    const own: Log = {
      debug: (fields, message) => {
        const { shard = 0, view = 0 } = fields as Record<string, number>
        if (message === 'this node serves a shard') {
          this.add({ kind: 'taken', node, shard, slot: 0, view })
        }
        log.debug(fields, message)
      },
      info: (fields, message) => {
        const { epoch = 0 } = fields as Record<string, number>
        if (message === 'this node leads') this.add({ kind: 'leads', node, epoch })
        log.info(fields, message)
      },
      warn: (fields, message) => {
        const { shard = 0, slot = 0, why = '' } = fields as Warned
        if (message === 'a checkpoint is loaded in place of what the store has') {
          this.add({ kind: 'checkpoint-loaded', node, shard, slot })
        }
        if (message === 'this node has lost a shard') {
          this.add({ kind: 'stopped', node, shard, how: 'lost', why })
        }
        log.warn(fields, message)
      },
      error: (fields, message) => {
        this.add({ kind: 'error-logged', node, message })
        const why = String((fields as Warned).why ?? '')
        if (why.includes('broken invariant')) this.add({ kind: 'broke', node, why })
        log.error(fields, message)
      },
      child: (fields) => this.log(log.child(fields)),
    }
    return own
  }
}

interface Warned {
  shard?: number
  slot?: number
  why?: string
}

interface Started {
  taskId: string
  attempt: number
  token: string
}

/** The port as it is, but for these methods. */
function instead<T extends object>(port: T, own: Partial<T>): T {
  return new Proxy(port, {
    get: (_, name) => {
      const found: unknown = Reflect.get(name in own ? own : port, name)
      return typeof found === 'function' ? found.bind(port) : found
    },
  })
}

function listOf(payload: Uint8Array): Asked[] {
  try {
    const commands = unpack(payload)
    return Array.isArray(commands) ? (commands as Asked[]) : []
  } catch {
    return []
  }
}
