/**
 * The clock and the log of the command itself. Decides: that log lines go to standard error, one
 * readable line each on a terminal and JSON elsewhere, so that standard output holds answers only.
 */
import { pino } from 'pino'
import type { Clock, Log } from '../ports/index.ts'
import type { LogLevelName } from '../protocol/index.ts'

/** For verbs, which wait at most minutes. */
export const verbClock: Clock = {
  now: () => Date.now(),
  monotonic: () => performance.now(),
  after: (delayMs, call) => {
    const timer = setTimeout(call, delayMs)
    return () => clearTimeout(timer)
  },
  defer: (call) => void setImmediate(call),
}

const SECRET_NAMES = ['token', 'password', 'secret', 'authorization', 'appKey', 'key']

export function openLog(level: LogLevelName, isTty: boolean): Log {
  if (isTty) return new LineLog(LEVELS.indexOf(level), {})
  const paths = SECRET_NAMES.flatMap((name) => [name, `*.${name}`])
  const logger = pino(
    { level, base: {}, redact: { paths }, formatters: { level: (label) => ({ level: label }) } },
    pino.destination({ dest: 2, sync: true }),
  )
  return jsonLog(logger)
}

function jsonLog(logger: pino.Logger): Log {
  return {
    debug: (fields, message) => logger.debug(fields, message),
    info: (fields, message) => logger.info(fields, message),
    warn: (fields, message) => logger.warn(fields, message),
    error: (fields, message) => logger.error(fields, message),
    child: (fields) => jsonLog(logger.child(fields)),
  }
}

const LEVELS: readonly LogLevelName[] = ['debug', 'info', 'warn', 'error', 'silent']

class LineLog implements Log {
  readonly #least: number
  readonly #fields: object

  constructor(least: number, fields: object) {
    this.#least = least
    this.#fields = fields
  }

  debug(fields: object, message: string): void {
    this.#line('debug', fields, message)
  }

  info(fields: object, message: string): void {
    this.#line('info', fields, message)
  }

  warn(fields: object, message: string): void {
    this.#line('warn', fields, message)
  }

  error(fields: object, message: string): void {
    this.#line('error', fields, message)
  }

  child(fields: object): Log {
    return new LineLog(this.#least, { ...this.#fields, ...fields })
  }

  #line(level: LogLevelName, fields: object, message: string): void {
    if (LEVELS.indexOf(level) < this.#least) return
    const words = Object.entries({ ...this.#fields, ...fields }).map(([name, value]) => {
      const shown = value instanceof Error ? (value.stack ?? value.message) : value
      return `${name}=${SECRET_NAMES.includes(name) ? '•••' : typeof shown === 'string' ? shown : JSON.stringify(shown)}`
    })
    const time = new Date().toISOString().slice(11, 23)
    process.stderr.write(
      `${time} ${level.padEnd(5)} ${message}${words.length > 0 ? `  ${words.join(' ')}` : ''}\n`,
    )
  }
}
