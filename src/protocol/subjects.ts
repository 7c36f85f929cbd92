/**
 * The names of everything that travels, the same on NATS and inside one process. Decides: the
 * subjects. A cluster's name is one token, so that clusters can share a NATS account.
 */
import { type AddressText, machineOf, toSubjectToken } from './address.ts'
import type { Role } from './config-http.ts'

export interface Subjects {
  /** Commands for a shard: a packed array of `Command`, answered by an array of `Outcome`. */
  shard(shard: number): string
  /** Messages from shard to shard. */
  relay(shard: number): string
  /** A packed `ShardQuery`. */
  query(shard: number): string
  /** Committed transitions of an actor; `*` for any id. */
  event(address: AddressText): string
  eventOf(machine: string, id?: string): string
  /** The pattern of all of them. */
  events(): string
  /** Sends an event to an actor, or to a child: JSON in, JSON out, as all of these. */
  actor(address: AddressText): string
  /** The pattern of all of them. */
  actors(): string
  /** Anything that can be asked or told, by its verb. */
  command(verb: string): string
  /** The same for administrators. */
  admin(verb: string): string
  /** What a client has to know first: the number of shards, the limits. JSON out. */
  facts(): string
  /** A request as HTTP has it, with the rights of a role. */
  api(role: Role): string
  /** The rest of an answer, of the node that gives it. */
  apiMore(role: Role, node: string): string
  /** A subject of an app: JSON in, JSON out. */
  app(app: string, name: string): string
  /** Tells a worker that a task is no longer wanted: the packed task id. */
  cancel(worker: string): string
  /** Commands of a worker about its tasks, as `shard`; nothing else is taken there. */
  work(shard: number, worker: string): string
  /** The pattern of those of all workers. */
  works(shard: number): string
  /** What a worker asks of any node, or of the one that is named. */
  workerQuestion(worker: string, question: string, node?: string): string
  /** The pattern of a question of all workers to any node. */
  workerQuestions(question: string): string
  /** The pattern of all questions of all workers to one node. */
  workerQuestionsTo(node: string): string
  /** Tells one process of a worker what it is to do; asked, it says that it is there. */
  order(worker: string, session: string): string
  /** What nodes hear of workers, for the other nodes. */
  workerReports(): string
  /** The leader's heartbeat. */
  leader(): string
  /** The heartbeats of all nodes. */
  member(): string
  /** What a node kept of a shard's journal, for whoever has to write its lost end again. */
  tail(node: string): string
  /** Whether a node is there: answered with its boot id, and by nobody once its process is gone. */
  alive(node: string): string
  /** Asks a node who it is. */
  node(node: string): string
}

/** @param cluster a name of letters, digits, `-` and `_` */
export function subjectsOf(cluster: string): Subjects {
  const root = `troupe.${cluster}`
  const events = `${root}.event.>`
  return {
    shard: (shard) => `${root}.shard.${shard}`,
    relay: (shard) => `${root}.relay.${shard}`,
    query: (shard) => `${root}.query.${shard}`,
    event: (address) => `${root}.event.${tokensOf(address)}`,
    eventOf: (machine, id) =>
      `${root}.event.${machine}.${id === undefined ? '>' : toSubjectToken(id)}`,
    events: () => events,
    actor: (address) => `${root}.actor.${tokensOf(address)}`,
    actors: () => `${root}.actor.>`,
    command: (verb) => `${root}.cmd.${verb}`,
    admin: (verb) => `${root}.admin.${verb}`,
    facts: () => `${root}.facts`,
    api: (role) => `${root}.api.${role}.ask`,
    apiMore: (role, node) => `${root}.api.${role}.more.${toSubjectToken(node)}`,
    app: (app, name) => `${root}.app.${toSubjectToken(app)}.${toSubjectToken(name)}`,
    cancel: (worker) => `${root}.cancel.${toSubjectToken(worker)}`,
    work: (shard, worker) => `${root}.work.${shard}.${toSubjectToken(worker)}`,
    works: (shard) => `${root}.work.${shard}.*`,
    workerQuestion: (worker, question, node) =>
      [`${root}.worker`, ...[worker, question, node ?? []].flat().map(toSubjectToken)].join('.'),
    workerQuestions: (question) => `${root}.worker.*.${question}`,
    workerQuestionsTo: (node) => `${root}.worker.*.*.${toSubjectToken(node)}`,
    order: (worker, session) =>
      `${root}.order.${toSubjectToken(worker)}.${toSubjectToken(session)}`,
    workerReports: () => `${root}.worker.report`,
    leader: () => `${root}.leader`,
    member: () => `${root}.member`,
    tail: (node) => `${root}.tail.${toSubjectToken(node)}`,
    alive: (node) => `${root}.alive.${toSubjectToken(node)}`,
    node: (node) => `${root}.node.${toSubjectToken(node)}`,
  }
}

/** Whose commands came on a subject that `works` has matched. */
export function workerOfWork(subject: string): string {
  return subject.slice(subject.lastIndexOf('.') + 1)
}

/** Who asks what, on a subject that a pattern of questions has matched. */
export function questionOf(subject: string): { worker: string; question: string } {
  const [, , , worker = '', question = ''] = subject.split('.')
  return { worker, question }
}

function tokensOf(address: AddressText): string {
  // Asked for with every turn; few addresses have anything to encode.
  if (!RESERVED.test(address)) return address.replaceAll('/', '.')
  const rest = address.slice(machineOf(address).length + 1)
  return `${machineOf(address)}.${rest.split('/').map(tokenOfPart).join('.')}`
}

const RESERVED = /[.*>]/

/** A part of an address is encoded already, but for the characters that NATS reserves. */
function tokenOfPart(part: string): string {
  return part.replace(/[.*>]/g, (c) => `%${c.charCodeAt(0).toString(16).toUpperCase()}`)
}
