/** What a person reads of a bulk. Decides: the lines. */
import type { BulkOperation } from './bulk-operation.ts'
import type { BulkDetail, BulkPreview, BulkSummary } from './bulks.ts'

export function detailLines(detail: BulkDetail): string[] {
  const { id, status, operation, filter, author, total, done, skipped, failed } = detail
  const { asked, kept, tasksRunning, problem, reasons, troubles } = detail
  const what = operation.op === 'send' ? `send ${operation.event.type} to` : operation.op
  const of = total === null ? '' : ` of ${total.isLeast ? 'at least ' : ''}${total.count}`
  const who = author === null ? '' : `  by ${author}`
  const lines = [
    `bulk/${id}  ${status}  ${what} ${filterText(filter)}${who}`,
    `  ${done}${of} done, ${skipped} skipped, ${failed} failed`,
  ]
  if (asked > 0) lines.push(`  and ${asked} of the page under way`)
  if (kept > 0) lines.push(`  ${kept} events wait for them`)
  if (tasksRunning > 0) lines.push(`  ${tasksRunning} tasks of theirs ran on`)
  if (problem !== undefined) lines.push(`  parked: ${problem}`)
  for (const [code, count] of Object.entries(reasons)) lines.push(`  ${count} ${code}`)
  for (const { address, code, message } of troubles) {
    lines.push(`  ${address}  ${code}: ${message}`)
  }
  const unnamed = skipped + failed - troubles.length
  if (unnamed > 0) lines.push(`  and ${unnamed} more: the log of the node names them`)
  return lines.map(plain)
}

export function summaryLine(summary: BulkSummary): string {
  const { id, status, op, machine, author, total, done, skipped, failed } = summary
  const of = total === null ? '' : ` of ${total}`
  const rest = `${skipped} skipped  ${failed} failed  by ${author ?? '?'}`
  return `${id}  ${status}  ${op} ${machine}  ${done}${of} done  ${rest}`
}

export function previewLines(preview: BulkPreview, operation: BulkOperation): string[] {
  if (preview.first.length === 0) return [`no actor that it could ${operation.op}`]
  const { first, total } = preview
  const rest = total.count - first.length
  const more = rest > 0 ? [`  and ${total.isLeast ? 'at least ' : ''}${rest} more`] : []
  return [countText(preview), ...first.map((address) => `  ${address}`), ...more]
}

export function countText({ total: { count, isLeast } }: BulkPreview): string {
  return `${isLeast ? 'at least ' : ''}${count} ${count === 1 ? 'actor' : 'actors'}`
}

function filterText({ machine, where = {}, ...rest }: BulkDetail['filter']): string {
  const plain = Object.entries({ ...rest, ...where })
  return [machine, ...plain.map(([name, value]) => `${name}=${value}`)].join(' ')
}

/** What a machine throws may hold anything; a terminal would obey it. */
function plain(line: string): string {
  return line.replace(/[\p{Cc}\p{Cf}]/gu, ' ')
}
