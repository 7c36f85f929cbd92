/**
 * What a filter or a sort order may name, and whether a row fits a filter. Decides: which fields and
 * states a machine has, and so when an empty answer is a typing error. A machine's fields are what its `index` returns, which depends
 * on the actor: so only actors can tell, and they are asked only when nothing was found.
 */
import {
  type HostedMachine,
  isInState,
  type MachineDefinition,
  stateText,
} from '../machine/index.ts'
import type { TroupeNode } from '../node/index.ts'
import {
  type ActorCondition,
  type ActorFilter,
  type ActorQuery,
  type ActorRow,
  formatAddress,
  machineOf,
  nearest,
  parseAddress,
  TroupeError,
} from '../protocol/index.ts'

const OF_EVERY_ACTOR = ['id', 'since']

function fieldsOf({ filter, sort }: ActorQuery): string[] {
  const by = sort === undefined || OF_EVERY_ACTOR.includes(sort.by) ? [] : [sort.by]
  return [...Object.keys(filter.where ?? {}), ...by]
}

/** @throws TroupeError `invalid-query` for a secret */
export function requireNoSecrets(machine: MachineDefinition, query: ActorQuery): void {
  for (const field of fieldsOf(query)) {
    // Whoever may ask for equality can find out the value.
    if (machine.secrets.includes(field)) throw refusal(`"${field}" is a secret of ${machine.name}`)
  }
}

/**
 * For an answer that is empty: actors of an older version may stand in states that are no more.
 * @throws TroupeError `unknown-state`
 */
export function requireState({ definition, chart }: HostedMachine, filter: ActorFilter): void {
  const { state } = filter
  // Children have charts of their own.
  if (state === undefined || filter.children || chart.states.includes(state)) return
  throw new TroupeError(
    'unknown-state',
    `${definition.name} has no state "${state.slice(0, 60)}"${hintOf(state, chart.states)} (it has: ${chart.states.join(', ')})`,
  )
}

/**
 * For a page that is empty.
 * @throws TroupeError `unknown-state`, or `invalid-query` when no actor of the machine has a field
 */
export async function explainEmpty(
  machine: HostedMachine,
  query: ActorQuery,
  client: TroupeNode['client'],
): Promise<void> {
  requireState(machine, query.filter)
  const { name, secrets, index } = machine.definition
  const asked = fieldsOf(query)
  if (asked.length === 0) return
  const [actor] = (await client.list({ filter: { machine: name }, limit: 1 })).rows
  if (!actor) return
  const known = new Set(Object.keys(actor.index))
  const { context } = await client.get(actor.address)
  for (const field of Object.keys(index?.(context) ?? {})) known.add(field)
  for (const field of asked) {
    if (known.has(field)) continue
    const sort = { by: field }
    const having = await client.list({ filter: { machine: name }, sort, limit: 1 })
    if (having.rows.length > 0) continue
    const names = [...known].filter((one) => !secrets.includes(one)).sort()
    throw refusal(
      `no ${name} is indexed by "${field.slice(0, 60)}"${hintOf(field, names)} (fields are: ${names.join(', ')})`,
    )
  }
}

function hintOf(name: string, known: readonly string[]): string {
  const near = nearest(name, known)
  return near === undefined ? '' : `; did you mean "${near}"?`
}

function refusal(why: string): TroupeError {
  return new TroupeError('invalid-query', why)
}

/** What an address alone says of a filter, as the shards see it. */
export function mayMatch(address: string, filter: ActorFilter): boolean {
  if (filter.machine !== undefined && machineOf(address) !== filter.machine) return false
  if (!filter.children && parseAddress(address).path.length > 0) return false
  if (filter.idPrefix === undefined || filter.idPrefix === '') return true
  const prefix = formatAddress('m', filter.idPrefix).slice('m/'.length)
  return address.slice(machineOf(address).length + 1).startsWith(prefix)
}

/** Whether a filter finds a row, as the shards do. Age is not judged: it changes by itself. */
export function rowMatches(row: ActorRow, filter: ActorFilter): boolean {
  if (!mayMatch(row.address, filter)) return false
  if (filter.condition !== undefined && filter.condition !== conditionOf(row)) return false
  if (filter.state !== undefined && !isInState(stateText(row.value), filter.state)) return false
  if (filter.tag !== undefined) {
    // Tags of children are not searched.
    const isChild = parseAddress(row.address).path.length > 0
    if (isChild || !row.tags.includes(filter.tag)) return false
  }
  return Object.entries(filter.where ?? {}).every(([field, value]) => row.index[field] === value)
}

function conditionOf({ status, parked, paused }: ActorRow): ActorCondition {
  if (status !== 'active') return status
  if (parked) return 'parked'
  return paused ? 'paused' : 'active'
}
