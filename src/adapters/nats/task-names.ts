/**
 * The names of task queues in NATS.
 *
 * Decides: the subjects of tasks, one for each queue and priority; where publishers tell which priorities are in use; and
 * the names of consumers, which servers restrict more than subjects: a `%` in one is taken for a format
 * directive by nats-server and breaks the subjects of acknowledgements, and it is the name of a folder, so
 * it has an end. Leaves to others: who publishes and who consumes.
 */
import { createHash } from 'node:crypto'
import { toSubjectToken } from '../../protocol/index.ts'
import { jetStreamNames } from './names.ts'

export interface TaskNames {
  readonly stream: string
  /** The pattern of all tasks. */
  readonly all: string
  /** Where tasks of a queue and priority are published. */
  task(queue: string, priority: number): string
  /** Publishers tell here which priorities they use; nothing of it is kept. */
  priorities(queue: string): string
  /** The durable consumer of a queue and priority. */
  consumer(queue: string, priority: number): string
  /** What `task` has put into a subject. */
  parse(subject: string): QueuePriority | undefined
}

export interface QueuePriority {
  queue: string
  priority: number
}

/** Names of files have at most 255 bytes, and servers add to this one. */
const CONSUMER_LENGTH_MAX = 180
const KEPT_LENGTH = 100

/** @throws TroupeError `invalid-config` */
export function taskNames(cluster: string): TaskNames {
  const { stream, tasks, priorities } = jetStreamNames(cluster).tasks
  return {
    stream,
    all: `${tasks}.>`,
    task: (queue, priority) =>
      `${tasks}.${toSubjectToken(queue)}.${toSubjectToken(String(priority))}`,
    priorities: (queue) => `${priorities}.${toSubjectToken(queue)}`,
    consumer: (queue, priority) => consumerName(`${escaped(queue)}_${escaped(String(priority))}`),
    parse: (subject) => {
      if (!subject.startsWith(`${tasks}.`)) return undefined
      const tokens = subject.slice(tasks.length + 1).split('.')
      return tokens.length === 2 ? parsed(tokens[0]!, tokens[1]!) : undefined
    },
  }
}

/** Anybody may publish to a subject: what cannot be read was not made by `task`. */
function parsed(queueToken: string, priorityToken: string): QueuePriority | undefined {
  try {
    const priority = Number(decodeURIComponent(priorityToken))
    const queue = decodeURIComponent(queueToken)
    return Number.isFinite(priority) ? { queue, priority } : undefined
  } catch {
    return undefined
  }
}

/** Different names stay different; `=` does not stay either. */
function escaped(name: string): string {
  return name.replace(/[^A-Za-z0-9-]/gu, (character) =>
    [...Buffer.from(character)].map((byte) => `=${byte.toString(16).padStart(2, '0')}`).join(''),
  )
}

/** `=x` is no escape, so that no other name is shortened to the same. */
function consumerName(whole: string): string {
  if (whole.length <= CONSUMER_LENGTH_MAX) return whole
  const digest = createHash('sha256').update(whole).digest('hex').slice(0, 32)
  return `${whole.slice(0, KEPT_LENGTH)}=x${digest}`
}
