/**
 * The log as people read it, where standard error is a terminal. Decides: how a line looks; which
 * lines there are, and that secrets are not among their fields, was decided before.
 */
import type { Terminal } from './terminal.ts'
import { type Colour, oneLine, type Paint, painter } from './text.ts'

const COLOURS: Readonly<Record<string, Colour>> = { debug: 'dim', warn: 'yellow', error: 'red' }

/** Where a log of JSON lines can be written to; each becomes a readable line. */
export function readableLog(terminal: Terminal): { write(line: string): void } {
  const paint = painter(terminal, terminal.isErrorTty)
  return { write: (line) => terminal.writeError(readable(line, paint)) }
}

function readable(line: string, paint: Paint): string {
  let entry: Record<string, unknown>
  try {
    entry = JSON.parse(line) as Record<string, unknown>
  } catch {
    // A log that cannot be read is better than none.
    return line
  }
  const { level, time, msg, err, ...fields } = entry
  const name = String(level)
  const clock = new Date(Number(time)).toTimeString().slice(0, 8)
  const words = Object.entries(fields).map(
    ([field, value]) => paint('dim', `${field}=`) + oneLine(value),
  )
  const label = name.toUpperCase().padEnd(5)
  const colour = COLOURS[name]
  const head = [paint('dim', clock), colour ? paint(colour, label) : label, oneLine(msg), ...words]
  return [head.join(' '), ...causeOf(err)].map((text) => `${text}\n`).join('')
}

function causeOf(err: unknown): string[] {
  if (err === undefined || err === null) return []
  const { stack, message } = err as { stack?: unknown; message?: unknown }
  const text = stack ?? message ?? err
  return (typeof text === 'string' ? text.split('\n') : [text]).map((line) => `  ${oneLine(line)}`)
}
