/** Connections for tests: who opens them, and what they say in the log. */
import {
  type Connection,
  NatsConnector,
  type NatsOptions,
} from '../../../src/adapters/nats/index.ts'
import { SystemClock, SystemRandom } from '../../../src/adapters/system/index.ts'
import type { Log } from '../../../src/ports/index.ts'

export interface LogLine {
  level: keyof Log
  fields: Record<string, unknown>
  message: string
}

export class LineLog implements Log {
  readonly lines: LogLine[] = []

  debug(fields: object, message: string): void {
    this.#say('debug', fields, message)
  }

  info(fields: object, message: string): void {
    this.#say('info', fields, message)
  }

  warn(fields: object, message: string): void {
    this.#say('warn', fields, message)
  }

  error(fields: object, message: string): void {
    this.#say('error', fields, message)
  }

  child(): Log {
    return this
  }

  said(part: string): LogLine | undefined {
    return this.lines.find(({ message }) => message.includes(part))
  }

  #say(level: LogLine['level'], fields: object, message: string): void {
    this.lines.push({ level, fields: { ...fields }, message })
  }
}

export const clock = new SystemClock()
export const random = new SystemRandom()

export function connectorTo(
  options: NatsOptions,
  log: Log = new LineLog(),
  silenceMs?: number,
): NatsConnector {
  const patience = silenceMs === undefined ? {} : { silenceMs }
  return new NatsConnector({ options, name: 'troupe test', clock, random, log, ...patience })
}

/** A connection that reconnects, soon. */
export function connectTo(url: string, log?: Log): Promise<Connection> {
  return connectorTo({ servers: [url], pingMs: 200 }, log).open({ reconnect: true })
}
