/**
 * Fields of a context that no view may show (`defineMachine({ secrets })`). Decides: where they can
 * appear in what the gateway returns. The actor itself keeps and uses them.
 */
import type { TroupeNode } from '../node/index.ts'
import {
  type ActorRow,
  type ActorView,
  type AuditView,
  type DryRunView,
  type IndexValue,
  machineOf,
} from '../protocol/index.ts'

const MASK = '•••'

export function secretsOf(node: TroupeNode, address: string): ReadonlySet<string> {
  return new Set(node.machines.get(machineOf(address))?.definition.secrets ?? [])
}

export function maskView(view: ActorView, secrets: ReadonlySet<string>): ActorView {
  if (secrets.size === 0) return view
  return {
    ...view,
    context: maskFields(view.context, secrets),
    index: maskFields(view.index, secrets) as Record<string, IndexValue>,
  }
}

export function maskRow(row: ActorRow, secrets: ReadonlySet<string>): ActorRow {
  if (secrets.size === 0) return row
  return { ...row, index: maskFields(row.index, secrets) as Record<string, IndexValue> }
}

export function maskDryRun(view: DryRunView, secrets: ReadonlySet<string>): DryRunView {
  if (secrets.size === 0) return view
  const contextDiff = view.contextDiff.map((entry) => {
    // The empty path is the whole context.
    if (entry.path === '') {
      return {
        ...entry,
        before: maskFields(entry.before, secrets),
        after: maskFields(entry.after, secrets),
      }
    }
    const isSecret = [...secrets].some(
      (name) => entry.path === name || entry.path.startsWith(`${name}.`),
    )
    return isSecret ? { ...entry, before: MASK, after: MASK } : entry
  })
  return { ...view, contextDiff }
}

/** A patch that sets a secret is in the audit trail; its value is not shown. */
export function maskAudit(row: AuditView, secrets: ReadonlySet<string>): AuditView {
  if (secrets.size === 0 || typeof row.detail !== 'object' || row.detail === null) return row
  const detail = row.detail as Record<string, unknown>
  if (!('merge' in detail)) return row
  return { ...row, detail: { ...detail, merge: maskFields(detail['merge'], secrets) } }
}

function maskFields(value: unknown, secrets: ReadonlySet<string>): unknown {
  if (typeof value !== 'object' || value === null) return value
  return Object.fromEntries(
    Object.entries(value).map(([name, field]) => [
      name,
      secrets.has(name) && field != null ? MASK : field,
    ]),
  )
}
