/**
 * Actors in memory: loading, forgetting, and looking up what a child is made of.
 *
 * Decides: what a stored record is to the machines of this node, and that one whose change is not
 * committed stays. Leaves to others: changing them, and when memory is short (resident-budget.ts).
 */
import type { AnyMachineSnapshot } from 'xstate'
import {
  type Chart,
  type HostedMachine,
  migrate,
  namesEvent,
  type StepIdentity,
  stateText,
  wake,
} from '../machine/index.ts'
import type { Store } from '../ports/index.ts'
import {
  type AddressText,
  errorRecord,
  invariant,
  isChild,
  lastName,
  machineOf,
  whyUnpackable,
} from '../protocol/index.ts'
import { indexOfStored } from './index-fields.ts'
import { actorKey } from './keys.ts'
import {
  conditionOf,
  decodeActor,
  type Head,
  type Logic,
  NO_INDEX,
  UnknownFormError,
} from './records.ts'
import type { ResidentBudget } from './resident-budget.ts'

/** Machines by name; the same for all shards of a node. */
export type Machines = ReadonlyMap<string, HostedMachine>

/** What a resident actor costs beside its packed bytes: snapshot, maps and the head itself. */
const HEAD_OVERHEAD_BYTES = 1_600
/** Decoded data takes about this many times its packed size. */
const DECODED_FACTOR = 4

export class Heads {
  readonly #shard: number
  readonly #store: Store
  readonly #machines: Machines
  readonly #budget: ResidentBudget
  /** In the order in which they came, or were last spared by a trim. */
  readonly #heads = new Map<AddressText, Head>()
  /** Removed by the batch that is under way: the store still shows them. */
  readonly #gone = new Set<AddressText>()
  /** Of a form that this program does not read, as far as somebody asked for them: why. */
  readonly #unknown = new Map<AddressText, string>()
  #bytes = 0

  constructor(shard: number, store: Store, machines: Machines, budget: ResidentBudget) {
    this.#shard = shard
    this.#store = store
    this.#machines = machines
    this.#budget = budget
  }

  get count(): number {
    return this.#heads.size
  }

  get bytes(): number {
    return this.#bytes
  }

  /** The actor at an address, from memory or from the store; undefined when there is none. */
  get(address: AddressText): Head | undefined {
    const known = this.#heads.get(address)
    if (known) {
      known.used = true
      return known
    }
    if (this.#gone.has(address)) return undefined
    const bytes = this.#store.get(actorKey(this.#shard, address))
    if (!bytes) return undefined
    const head = this.decode(address, bytes, (why) => this.#unknown.set(address, why))
    if (head) this.add(head)
    return head
  }

  /** Of an address that `get` found nothing for: a newer program wrote what is there. */
  whyUnknown(address: AddressText): string | undefined {
    return this.#unknown.get(address)
  }

  /** True also for an actor that `get` cannot give: its machine, or its form, is not known here. */
  has(address: AddressText): boolean {
    if (this.#heads.has(address)) return true
    if (this.#gone.has(address)) return false
    return this.#store.get(actorKey(this.#shard, address)) !== undefined
  }

  /** For lists: what is applied, without what a batch under way changed, and without keeping it. */
  peek(address: AddressText): Head | undefined {
    const bytes = this.#store.get(actorKey(this.#shard, address))
    return bytes && this.decode(address, bytes)
  }

  /** Of a row that a walk over the store came to: what memory says of it, or what is made of it. */
  visit(address: AddressText, bytes: Uint8Array): Head | undefined {
    if (this.#gone.has(address)) return undefined
    return this.#heads.get(address) ?? this.decode(address, bytes)
  }

  holds(head: Head): boolean {
    return this.#heads.get(head.address) === head
  }

  /** Forgets one that nobody asked for, unless a batch that changed it is not committed. */
  letGo(head: Head): void {
    if (!head.dirty && this.holds(head)) this.#release(head.address)
  }

  add(head: Head): void {
    invariant(!this.#heads.has(head.address), 'an actor never takes the place of another')
    this.#gone.delete(head.address)
    if (this.#heads.size === 0) this.#budget.join(this)
    this.#heads.set(head.address, head)
    this.#account(costOf(head))
  }

  /** An actor that the present batch removes. */
  removeForGood(address: AddressText): void {
    this.#release(address)
    this.#gone.add(address)
  }

  /** The batch is committed: the store is true again. @param written by it */
  settle(written: Iterable<Head>): void {
    for (const head of written) {
      head.dirty = false
      head.encoded = undefined
    }
    this.#gone.clear()
  }

  #release(address: AddressText): void {
    const head = this.#heads.get(address)
    if (!head) return
    this.#heads.delete(address)
    this.#account(-costOf(head))
  }

  /** Follows a change of the packed size. */
  resized(head: Head, bytes: number): void {
    if (this.#heads.get(head.address) === head) this.#account((bytes - head.bytes) * DECODED_FACTOR)
    head.bytes = bytes
  }

  /**
   * A step that failed may have changed the context in place before: it is read again. Not after another
   * turn in this batch, whose bytes are not kept.
   */
  undoStep(head: Head): void {
    const bytes = head.encoded ?? this.#store.get(actorKey(this.#shard, head.address))
    const before = bytes && this.decode(head.address, bytes)
    if (before?.birth !== head.birth || before.turn !== head.turn) return
    head.stored = before.stored
    head.snapshot = undefined
  }

  /** Forgets everything in memory: after a lost race only the store is true. */
  clear(): void {
    this.#heads.clear()
    this.#gone.clear()
    this.#unknown.clear()
    this.#account(-this.#bytes)
    this.#budget.leave(this)
  }

  /** After a commit. Others' actors may go as well: what they have not committed stays. */
  trim(): void {
    if (this.#budget.bytes > this.#budget.bytesMax) this.#budget.trim()
  }

  /** Looks at those that came or were spared first; ends early when the node is within its budget. */
  letSomeGo(part: number, sparedMax: number): { looked: number; spared: number } {
    const lookedMax = Math.ceil(this.#heads.size * part)
    let looked = 0
    let spared = 0
    for (const head of this.#heads.values()) {
      if (looked >= lookedMax || this.#budget.bytes <= this.#budget.bytesMax) break
      if (head.dirty) continue
      looked += 1
      if (head.used && spared < sparedMax) {
        spared += 1
        head.used = false
        this.#heads.delete(head.address)
        this.#heads.set(head.address, head)
      } else this.#release(head.address)
    }
    return { looked, spared }
  }

  #account(bytes: number): void {
    this.#bytes += bytes
    this.#budget.bytes += bytes
  }

  /** Undefined when its machine, or its form, is not known here: such rows are left alone. */
  decode(
    address: AddressText,
    bytes: Uint8Array,
    unknown?: (why: string) => void,
  ): Head | undefined {
    const hosted = this.#machines.get(machineOf(address))
    if (!hosted) return undefined
    try {
      return makeHead(address, hosted, bytes)
    } catch (thrown) {
      if (!(thrown instanceof UnknownFormError)) throw thrown
      unknown?.(`${address} was written by a newer program: ${thrown.message}`)
      return undefined
    }
  }
}

function costOf(head: Head): number {
  return HEAD_OVERHEAD_BYTES + head.bytes * DECODED_FACTOR
}

/** Follows the sources of a child from the root's chart. */
export function logicAt(chart: Chart, sources: readonly string[]): Logic | undefined {
  let at: Chart = chart
  for (const [depth, src] of sources.entries()) {
    const source = at.sources.get(src)
    if (source?.kind === 'machine') at = source.chart
    else if (source?.kind === 'transition' && depth === sources.length - 1) {
      return { kind: 'reducer', logic: source.logic }
    } else return undefined
  }
  return { kind: 'chart', chart: at }
}

export function makeHead(address: AddressText, hosted: HostedMachine, bytes: Uint8Array): Head {
  const { record, stored } = decodeActor(bytes)
  const text = stateText(stored.value)
  const logic = logicAt(hosted.chart, record.sources)
  const head: Head = {
    // One by one: so many fields spread into as many take ten times as long, and lists make hundreds.
    version: record.version,
    chartHash: record.chartHash,
    birth: record.birth,
    turn: record.turn,
    operations: record.operations,
    createdAt: record.createdAt,
    updatedAt: record.updatedAt,
    since: record.since,
    status: record.status,
    paused: record.paused,
    parked: record.parked,
    keptFrom: record.keptFrom,
    keptTo: record.keptTo,
    timers: record.timers,
    tasks: record.tasks,
    children: record.children,
    sources: record.sources,
    recent: record.recent,
    recentFrom: record.recentFrom,
    address,
    hosted,
    logic: logic ?? { kind: 'missing' },
    kindName: kindNameOf(hosted, record.sources),
    stored,
    snapshot: undefined,
    stateText: text,
    index: indexOfStored(hosted, record.sources, stored.context),
    bytes: bytes.length,
    encoded: undefined,
    dirty: false,
    used: false,
    unreadable: null,
    newer: false,
    indexed: {
      condition: conditionOf(record),
      stateText: text,
      since: record.since,
      index: record.index,
    },
  }
  if (logic?.kind === 'chart') bringUpToDate(head, logic.chart, bytes)
  else if (logic === undefined) {
    const { name, version } = hosted.definition
    stand(head, `${name} version ${version} has no actor "${record.sources.join('/')}"`)
  } else goOnWithVersion(head)
  return head
}

export function kindNameOf(hosted: HostedMachine, sources: readonly string[]): string {
  return [hosted.definition.name, ...sources].join('/')
}

/** An older version is migrated in memory; the next commit stores it. */
function bringUpToDate(head: Head, chart: Chart, bytes: Uint8Array): void {
  const { definition } = head.hosted
  const stick = (why: string) => {
    // A migration that failed may have changed what it was given.
    head.stored = decodeActor(bytes).stored
    stand(head, why)
  }
  const outcome = migrate(
    { ...head.hosted, chart },
    {
      // Migrations know the root's context; a child of an older version only has to fit its chart.
      version:
        head.sources.length === 0 ? head.version : Math.max(head.version, definition.version),
      chartHash: head.chartHash,
      value: head.stored.value,
      context: head.stored.context,
    },
  )
  if (outcome.kind === 'newer') {
    // Its rows are those of the newer version, which is expected back.
    head.index = head.indexed?.index ?? NO_INDEX
    head.newer = true
    const known = `this node knows version ${definition.version}`
    return stand(head, `written by version ${head.version} of ${definition.name}; ${known}`)
  }
  if (outcome.kind === 'stuck') return stick(outcome.why)
  if (outcome.kind === 'migrated') {
    const broken = whyUnpackable(outcome.context)
    if (broken !== undefined) {
      const why = `the migration of ${definition.name} to version ${definition.version} gave a context that cannot be stored: ${broken}`
      return stick(why)
    }
    head.stored = { ...head.stored, value: outcome.value, context: outcome.context }
    head.version = definition.version
    head.chartHash = chart.hash
    head.stateText = stateText(outcome.value)
    head.index = indexOfStored(head.hosted, head.sources, outcome.context)
  }
  goOnWithVersion(head)
}

/** It can stand there again: nobody has to resume it. */
function goOnWithVersion(head: Head): void {
  if (standsForVersion(head)) head.parked = null
}

/** What has finished does not go on anyhow. */
function stand(head: Head, why: string): void {
  head.unreadable = why
  if (head.status !== 'active' || (head.parked && !standsForVersion(head))) return
  const error = errorRecord('version-unknown', why, { address: head.address })
  head.parked = { since: head.updatedAt, error, cause: 'version', failedChildren: [] }
}

/** Parked by `stand`, and not by a failure of its own. */
export function standsForVersion(head: Head): boolean {
  return head.parked?.error.code === 'version-unknown'
}

export function identityOf(head: Pick<Head, 'address'>): StepIdentity {
  const child = isChild(head.address)
  return { id: lastName(head.address), address: head.address, hasParent: child }
}

/** Whether it stands where its chart has a transition for this very type; a wildcard is none. */
export function namesEventAt(head: Head, type: string): boolean {
  if (head.logic.kind !== 'chart' || head.unreadable !== null) return false
  return namesEvent(snapshotOf(head, head.logic.chart), type)
}

/** The live snapshot of a chart's head, made when it is first needed. */
export function snapshotOf(head: Head, chart: Chart): AnyMachineSnapshot {
  if (head.snapshot) return head.snapshot
  const children = head.children.map((child) => [child.childId, child.src] as const)
  head.snapshot = wake(chart, head.stored, children, identityOf(head))
  return head.snapshot
}
