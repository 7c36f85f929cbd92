/**
 * The view: who is a member, who owns and who follows which shard, by the word of a leader.
 *
 * Decides: its bytes, the order of views, and what a node remembers of them across its own death: the
 * highest one, and never a lower one again. Leaves to others: what stands in a view (planning.ts),
 * how it travels (views.ts). A view decides only who tries; the slots of the journal decide who owns.
 */
import type { Log, Store } from '../ports/index.ts'
import { invariant, isNodeName, pack, TroupeError, unpack } from '../protocol/index.ts'
import { nodeKey } from '../shard/index.ts'
import type { Member } from './placement.ts'
import { type Versions, versionPairs, versionsOf, without } from './versions.ts'
import { type Wishes, wishesOf, wishFields } from './wishes.ts'

export interface View {
  readonly leaderEpoch: number
  readonly version: number
  /** Who is there, in the order of names. */
  readonly members: readonly Member[]
  /** Three lists by shard. */
  readonly owners: readonly (string | null)[]
  readonly standbys: readonly (string | null)[]
  /**
   * Who was named owner before, and may have written what nobody else has: until the present owner
   * serves by a claim of its own. A journal that lost its end is not gone on with before they answer.
   */
  readonly former: readonly (readonly Former[])[]
  /** By shard: the versions of machines that its owners had. Whoever takes it has to know them, */
  readonly needs: readonly Versions[]
  /** but for these, in the order of names: nobody has hosted them for long, so nobody is waited for. */
  readonly unhosted: readonly string[]
  /** Of operators. */
  readonly wishes: Wishes
}

export interface Former {
  readonly name: string
  /** The number of the last view that named it: a claim by a newer one has read all that it wrote. */
  readonly until: number
}

const FORM = 4
const VERSIONS = 2 ** 20
/** A leader that has written so many views claims a new epoch for the next. */
export const VERSION_MAX = VERSIONS - 1

/** The one number by which views and the claims made under them are ordered. */
export function viewNumber(view: Pick<View, 'leaderEpoch' | 'version'>): number {
  invariant(view.version <= VERSION_MAX, 'the versions of an epoch are used up')
  return view.leaderEpoch * VERSIONS + view.version
}

/** What whoever takes a shard has to know. */
export function neededOf({ needs, unhosted }: View, shard: number): Versions {
  return without(needs[shard]!, new Set(unhosted))
}

export function encodeView(view: View): Uint8Array {
  const members = view.members.map((one) => [one.name, one.weight, one.zone, one.leaving])
  const { leaderEpoch, version, owners, standbys } = view
  const former = view.former.map((some) => some.map(({ name, until }) => [name, until]))
  const needs = encodeNeeds(view.needs)
  const fields = [leaderEpoch, version, members, owners, standbys, former, needs]
  return pack([FORM, ...fields, view.unhosted, wishFields(view.wishes)])
}

/** Most shards need the same: each list once, and by shard which one. */
function encodeNeeds(needs: View['needs']): [lists: [string, number][][], at: number[]] {
  const lists: [string, number][][] = []
  const places = new Map<string, number>()
  const at = needs.map((versions) => {
    const pairs = versionPairs(versions)
    const text = JSON.stringify(pairs)
    const place = places.get(text)
    if (place !== undefined) return place
    places.set(text, lists.length)
    return lists.push(pairs) - 1
  })
  return [lists, at]
}

function decodeNeeds(fields: unknown, shardCount: number): Versions[] {
  const [lists, at] = Array.isArray(fields) ? (fields as unknown[]) : []
  if (!Array.isArray(lists) || !Array.isArray(at)) throw unreadable('needs')
  const each = lists.map(versionsOf)
  const needs = at.map((place: unknown) => (isCount(place) ? each[place] : undefined))
  if (needs.length !== shardCount || needs.includes(undefined)) throw unreadable('needs')
  return needs as Versions[]
}

/** @throws TroupeError `malformed` for what is no view of this many shards */
export function decodeView(bytes: Uint8Array, shardCount: number): View {
  const fields = unpack(bytes)
  if (!Array.isArray(fields) || fields[0] !== FORM) throw unreadable(`not of form ${FORM}`)
  const [, leaderEpoch, version, members, owners, standbys, former, ...more] = fields as unknown[]
  const [needs, unhosted, wished] = more
  if (!isCount(leaderEpoch) || leaderEpoch === 0) throw unreadable('leaderEpoch')
  if (!isCount(version) || version > VERSION_MAX) throw unreadable('version')
  if (!Array.isArray(members)) throw unreadable('members')
  const isByShard = (list: unknown): list is unknown[] =>
    Array.isArray(list) && list.length === shardCount
  const isNames = (list: unknown): list is (string | null)[] =>
    isByShard(list) && list.every((name) => name === null || isName(name))
  if (!isNames(owners)) throw unreadable('owners')
  if (!isNames(standbys)) throw unreadable('standbys')
  if (!isByShard(former)) throw unreadable('former')
  if (!isTexts(unhosted)) throw unreadable('unhosted')
  const wishes = wishesOf(wished, shardCount)
  if (!wishes) throw unreadable('wishes')
  const view = { leaderEpoch, version, members: members.map(memberOf), owners, standbys, wishes }
  return { ...view, former: former.map(formerOf), needs: decodeNeeds(needs, shardCount), unhosted }
}

function isTexts(value: unknown): value is string[] {
  return Array.isArray(value) && value.every((one) => typeof one === 'string')
}

function formerOf(some: unknown): Former[] {
  if (!Array.isArray(some)) throw unreadable('former')
  return some.map((fields: unknown) => {
    const [name, until] = Array.isArray(fields) ? (fields as unknown[]) : []
    if (!isName(name) || !isCount(until)) throw unreadable('former')
    return { name, until }
  })
}

function memberOf(fields: unknown): Member {
  if (!Array.isArray(fields)) throw unreadable('a member')
  const [name, weight, zone, leaving] = fields as unknown[]
  if (!isName(name) || !isWeight(weight)) throw unreadable('the name or weight of a member')
  if (zone !== null && typeof zone !== 'string') throw unreadable('the zone of a member')
  return { name, weight, zone, leaving: leaving === true }
}

export function isCount(value: unknown): value is number {
  return Number.isSafeInteger(value) && (value as number) >= 0
}

export function isName(value: unknown): value is string {
  return typeof value === 'string' && isNodeName(value)
}

export function isWeight(value: unknown): value is number {
  return typeof value === 'number' && Number.isFinite(value) && value >= 0
}

function unreadable(what: string): TroupeError {
  return new TroupeError('malformed', `a view: ${what} cannot be read`)
}

const VIEW_KEY = nodeKey('view')

/** The highest view that this node has seen, in memory and in its store. */
export class ViewMemory {
  readonly #store: Store
  #view: View | undefined

  constructor(store: Store, shardCount: number, log: Log) {
    this.#store = store
    const bytes = store.get(VIEW_KEY)
    if (!bytes) return
    try {
      this.#view = decodeView(bytes, shardCount)
    } catch (thrown) {
      log.error(
        { err: thrown },
        'the view that this store remembers cannot be read: it is forgotten',
      )
    }
  }

  get view(): View | undefined {
    return this.#view
  }

  get number(): number {
    return this.#view ? viewNumber(this.#view) : 0
  }

  /** False for a view that is not newer than all before. */
  take(view: View, failed: (why: string) => void): boolean {
    if (viewNumber(view) <= this.number) return false
    this.#view = view
    // On disk before any claim that is made under it: transactions are flushed in their order.
    this.#store.write({
      writes: [[VIEW_KEY, encodeView(view)]],
      failed: ({ message }) => failed(message),
    })
    return true
  }
}
