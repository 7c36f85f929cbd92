/**
 * Logging through pino.
 *
 * Decides: JSON lines with `time` in unix ms, `level` by name, secrets taken out by name at any
 * reasonable depth (redact.ts; pino's own redaction knows fixed paths only).
 * Leaves to others: what is worth a line, and the level.
 */
import { type DestinationStream, type Logger, pino } from 'pino'
import type { Log } from '../../ports/index.ts'
import { redact } from './redact.ts'

export type LogLevel = 'debug' | 'info' | 'warn' | 'error' | 'silent'

export interface PinoLogOptions {
  level?: LogLevel
  /** A file descriptor, a path, or a stream; standard output when absent. */
  destination?: number | string | DestinationStream
  /** Fields of every line. */
  fields?: object
}

export class PinoLog implements Log {
  private readonly logger: Logger

  private constructor(logger: Logger) {
    this.logger = logger
  }

  static open(options: PinoLogOptions = {}): PinoLog {
    const target = options.destination ?? 1
    // Synchronous: a line that says why the process dies has to be out before it does.
    const stream =
      typeof target === 'object'
        ? target
        : pino.destination({ dest: target, sync: true, mkdir: true })
    const logger = pino(
      {
        level: options.level ?? 'info',
        base: redact(options.fields ?? {}),
        formatters: { level: (label) => ({ level: label }) },
        // Errors are plain objects by now.
        serializers: { err: (value: unknown) => value },
      },
      stream,
    )
    return new PinoLog(logger)
  }

  debug(fields: object, message: string): void {
    if (this.logger.isLevelEnabled('debug')) this.logger.debug(redact(fields), message)
  }

  info(fields: object, message: string): void {
    if (this.logger.isLevelEnabled('info')) this.logger.info(redact(fields), message)
  }

  warn(fields: object, message: string): void {
    if (this.logger.isLevelEnabled('warn')) this.logger.warn(redact(fields), message)
  }

  error(fields: object, message: string): void {
    if (this.logger.isLevelEnabled('error')) this.logger.error(redact(fields), message)
  }

  child(fields: object): Log {
    return new PinoLog(this.logger.child(redact(fields)))
  }
}

/** Says nothing; for tests and tools. */
export const silentLog: Log = {
  debug: () => {},
  info: () => {},
  warn: () => {},
  error: () => {},
  child: () => silentLog,
}
