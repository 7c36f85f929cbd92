/**
 * Brings a stored actor to the version of the machine that is registered. Decides: whether a path of
 * migrations exists and leads to a position that the chart has. Loses nothing: a failure is told.
 */
import { clipText, messageOfThrown, type StateValue } from '../protocol/index.ts'
import { hasPosition } from './chart.ts'
import type { MigratedState } from './define.ts'
import type { HostedMachine } from './host.ts'
import { stateText } from './position.ts'

export type MigrationOutcome =
  | { kind: 'same' }
  | { kind: 'migrated'; value: StateValue; context: unknown }
  /** The actor is parked with this reason, its stored state untouched. */
  | { kind: 'stuck'; why: string }
  /** Written by a newer version than this node knows. */
  | { kind: 'newer' }

export function migrate(
  hosted: HostedMachine,
  stored: { version: number; chartHash: string; value: StateValue; context: unknown },
): MigrationOutcome {
  const { definition, chart } = hosted
  if (stored.version > definition.version) return { kind: 'newer' }
  if (stored.version === definition.version && stored.chartHash === chart.hash)
    return { kind: 'same' }
  let state: MigratedState = { value: stored.value, context: stored.context }
  for (let version = stored.version; version < definition.version; version++) {
    const migration = definition.migrations[version]
    if (!migration) {
      return {
        kind: 'stuck',
        why: `the actor is of version ${stored.version}, and ${definition.name} version ${definition.version} has no migration from version ${version}`,
      }
    }
    try {
      state = checkedState(migration(state))
    } catch (thrown) {
      return {
        kind: 'stuck',
        why: `the migration of ${definition.name} from version ${version} failed: ${clipText(messageOfThrown(thrown))}`,
      }
    }
  }
  if (!hasPosition(chart.machine, state.value)) {
    return {
      kind: 'stuck',
      why: `${definition.name} version ${definition.version} has no state "${stateText(state.value)}" (the actor is of version ${stored.version}); add a migration, or resume it at one of: ${chart.states.join(', ')}`,
    }
  }
  return { kind: 'migrated', value: state.value, context: state.context }
}

/** What a migration gave. @throws Error when it is not what it was given, in another version */
function checkedState(given: unknown): MigratedState {
  if (typeof given !== 'object' || given === null) throw new Error('it gave no { value, context }')
  const { value, context } = given as Record<string, unknown>
  if (!isStateValue(value)) throw new Error('it gave no position: { value } is missing, or is none')
  if (typeof context !== 'object' || context === null)
    throw new Error('it gave no context: { context } is missing, or is no object')
  return { value, context }
}

function isStateValue(value: unknown): value is StateValue {
  if (typeof value === 'string') return true
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return false
  return Object.values(value).every(isStateValue)
}
