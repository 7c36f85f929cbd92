/**
 * Actors for people. Decides: what a line and a page about an actor show, and the next step that is
 * offered with it.
 */
import { stateText } from '../machine/light.ts'
import type {
  ActorRow,
  ActorView,
  AuditView,
  DryRunView,
  HistoryView,
  LegalEventView,
  OperatorReceipt,
  TurnView,
} from '../protocol/index.ts'
import { toJson } from '../protocol/light.ts'
import { ago, duration, type Look, oneLine, type Paint, table } from './text.ts'

export function actorTable(rows: readonly ActorRow[], look: Look, now: number): string[] {
  const cells = rows.map((row) => [
    row.address,
    stateText(row.value),
    conditionOf(row.status, row.paused, row.parked),
    duration(now - row.since),
    duration(now - row.createdAt),
    row.reason ?? '',
  ])
  return table(['ADDRESS', 'STATE', 'CONDITION', 'FOR', 'AGE', 'REASON'], cells, look)
}

export function conditionOf(status: string, paused: boolean, parked: boolean): string {
  if (parked) return 'parked'
  return paused ? 'paused' : status
}

export function actorPage(view: ActorView, paint: Paint, now: number): string[] {
  const { address } = view
  const lines = [
    `${paint('bold', address)}  ${paint('green', stateText(view.value))}  (${conditionOf(view.status, !!view.paused, !!view.parked)})`,
    `  machine   ${view.machine} v${view.version}, turn ${view.turn}`,
    `  started   ${ago(view.createdAt, now)}; in this state for ${duration(now - view.since)}`,
  ]
  if (view.tags.length > 0) lines.push(`  tags      ${view.tags.map(oneLine).join(', ')}`)
  if (view.parked) {
    lines.push(
      `  ${paint('red', 'parked')}    ${ago(view.parked.since, now)}, at ${oneLine(view.parked.cause)}: ${oneLine(view.parked.error.message)}`,
      paint('dim', `            go on: troupe actors resume ${address} --retry   (or --state S)`),
    )
  }
  if (view.paused) {
    const { reason, by, since, pausing, timers } = view.paused
    const why = reason ? `: ${oneLine(reason)}` : ''
    lines.push(
      `  ${paint('yellow', 'paused')}    by ${oneLine(by)} ${ago(since, now)}${why}${pausing ? ' (tasks still run)' : ''}${timers === 'freeze' ? ', timers stand still' : ''}`,
      paint('dim', `            go on: troupe actors resume ${address}`),
    )
  }
  if (view.kept > 0) lines.push(`  kept      ${view.kept} event${view.kept === 1 ? '' : 's'} wait`)
  lines.push(...tasksOf(view, now), ...timersOf(view, now))
  if (view.children.length > 0) lines.push(`  children  ${view.children.join(' ')}`)
  lines.push('  context', ...indented(view.context))
  if (view.output !== undefined) lines.push('  output', ...indented(view.output))
  return lines
}

function tasksOf(view: ActorView, now: number): string[] {
  return view.tasks.map((task) => {
    const where = task.worker === undefined ? `on ${task.queue}` : `at ${task.worker}`
    const failure = task.lastFailure === undefined ? '' : `; failed: ${oneLine(task.lastFailure)}`
    const next = task.notBefore === undefined ? '' : `; again in ${duration(task.notBefore - now)}`
    return `  task      ${task.name} ${task.state} ${where}, attempt ${task.attempt}, ${ago(task.since, now)}${failure}${next}`
  })
}

function timersOf(view: ActorView, now: number): string[] {
  return view.timers.map((timer) => {
    const due =
      timer.frozenMs === undefined
        ? `in ${duration(timer.dueAt - now)}`
        : `stands still with ${duration(timer.frozenMs)} left`
    return `  timer     ${oneLine(timer.event)} ${due}`
  })
}

function indented(value: unknown): string[] {
  // JSON escapes control characters, so nothing in it can move the cursor.
  return toJson(value ?? null, 2)
    .split('\n')
    .map((line) => `    ${line}`)
}

export function turnLines(view: TurnView, paint: Paint): string[] {
  const kept = view.kept === undefined ? '' : `, paused: ${view.kept} kept`
  const ignored =
    view.handled || view.kept !== undefined
      ? ''
      : paint('yellow', '  nothing changed: this state has no transition for it')
  const lines = [
    `${view.address}  ${paint('green', stateText(view.value))}  (${view.status}, turn ${view.turn}${kept})${ignored}`,
  ]
  if (view.reply !== undefined) lines.push(...indented(view.reply))
  if (view.output !== undefined) lines.push('  output', ...indented(view.output))
  return lines
}

export function receiptLines(receipt: OperatorReceipt, paint: Paint): string[] {
  const condition = conditionOf(receipt.status, receipt.paused, receipt.parked)
  const kept = receipt.kept > 0 ? `, ${receipt.kept} kept` : ''
  const tasks = receipt.tasksRunning > 0 ? `, ${receipt.tasksRunning} running` : ''
  return [
    `${receipt.address}  ${paint('green', stateText(receipt.value))}  (${condition}, turn ${receipt.turn}${kept}${tasks})`,
  ]
}

export function dryRunLines(view: DryRunView, paint: Paint): string[] {
  const lines = [
    `${paint('yellow', 'dry run:')} nothing was changed; it would be in ${stateText(view.value)} (${view.status})`,
  ]
  if (!view.handled) lines.push('  this state has no transition for it')
  for (const { path, before, after } of view.contextDiff) {
    lines.push(
      `  ${oneLine(path === '' ? 'context' : path)}: ${oneLine(before ?? null)} → ${oneLine(after ?? null)}`,
    )
  }
  return [...lines, ...view.effects.map((effect) => `  ${oneLine(effect)}`)]
}

export function historyTable(rows: readonly HistoryView[], look: Look, now: number): string[] {
  const cells = rows.map((row) => [
    String(row.turn),
    ago(row.at, now),
    row.cause,
    row.from === null || row.from === row.to ? row.to : `${row.from} → ${row.to}`,
    row.by,
    row.note ?? '',
  ])
  return table(['TURN', 'WHEN', 'CAUSE', 'STATE', 'BY', 'NOTE'], cells, look)
}

export function eventTable(rows: readonly LegalEventView[], look: Look): string[] {
  const cells = rows.map((row) => [
    row.type,
    row.targets.join(', ') || '(stays)',
    row.guarded ? 'guarded' : '',
    row.sendable ? 'can be sent' : 'internal',
  ])
  return table(['EVENT', 'LEADS TO', 'GUARD', ''], cells, look)
}

export function auditTable(rows: readonly AuditView[], look: Look, now: number): string[] {
  const cells = rows.map((row) => [
    ago(row.at, now),
    row.author,
    row.operation,
    row.address,
    row.before === row.after ? (row.after ?? '') : `${row.before ?? '-'} → ${row.after ?? 'gone'}`,
    Object.keys((row.detail as object | null) ?? {}).length > 0 ? toJson(row.detail) : '',
  ])
  return table(['WHEN', 'AUTHOR', 'OPERATION', 'ADDRESS', 'STATE', 'DETAIL'], cells, look)
}
