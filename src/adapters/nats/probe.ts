/**
 * What the NATS server at hand can do.
 *
 * Decides: what Troupe cannot do without (and refuses to start by a message that says what to change),
 * what it does in another way on old servers, and what an operator should know. The result is data.
 * Servers leave out what they do not know without a word, so the version alone is trusted here; each
 * stream is compared with what was asked for when it is created (streams.ts).
 * A server gives up a client that is silent after `ping_interval` × (`ping_max` + 1), by default 6 minutes:
 * that has to be shorter than slots of the journal are kept, else what a frozen node sent could arrive after
 * that. It is checked where servers tell it, as the versions of all of them are (server-variables.ts).
 */
import type { Clock, Log } from '../../ports/index.ts'
import { messageOfThrown, TroupeError } from '../../protocol/index.ts'
import { API_ERROR, ApiError, askApi, HEADER_BYTES_MAX } from './api.ts'
import type { Connection } from './connection.ts'
import { type ServerVariables, serverVariables } from './server-variables.ts'
import { type Removal, removalOf } from './streams.ts'

export interface Capabilities {
  serverName: string
  version: string
  /** Of the JetStream API; 0 before 2.11. */
  apiLevel: number
  /** The name of the cluster of servers; undefined for one that stands alone. */
  serverCluster: string | undefined
  /** Bytes of a message with its headers. */
  payloadBytesMax: number
  /** How messages may be removed from streams with the replicas that were asked for. */
  removal: Removal
}

export interface ProbeNeeds {
  /** Of each stream. */
  replicas: number
  /** Bytes of the largest message, without headers. */
  messageBytesMax: number
  /** How many streams there will be. */
  streams: number
  /** How long slots of the journal are kept at least. */
  retentionMs: number
}

/** What servers tell. */
export interface ServerFacts {
  serverName: string
  version: string
  apiLevel: number
  serverCluster: string | undefined
  payloadBytesMax: number
  /** Of our account; -1 without a limit. */
  streamsMax: number
  /** Of each server of the cluster; empty where they do not tell. */
  servers: readonly ServerVariables[]
}

/** Something that works, and that an operator should know. */
export interface ProbeNote {
  level: 'info' | 'warn'
  note: string
}

export interface ProbeOptions {
  connection: Connection
  needs: ProbeNeeds
  clock: Clock
  log: Log
  /** Ends the wait. */
  signal?: AbortSignal | undefined
  /** How long JetStream may take until it answers: its servers may be about to elect a leader. */
  waitMs?: number
}

const ANSWER_MS = 2_000
const WAIT_MS = 30_000
const RETRY_MS = 250
const OLDEST: Version = [2, 9, 0]

/** @throws TroupeError `invalid-config` that says what to change; `unavailable` when nobody answers */
export async function probe({
  connection,
  needs,
  clock,
  log,
  signal,
  waitMs = WAIT_MS,
}: ProbeOptions): Promise<Capabilities> {
  const endMs = clock.monotonic() + waitMs
  const aborted = abortOf(signal)
  for (;;) {
    try {
      const leftMs = Math.max(1, endMs - clock.monotonic())
      const asked = factsOf(connection, Math.min(ANSWER_MS, leftMs))
      const facts = await Promise.race([asked, aborted])
      const { capabilities, notes } = judge(facts, needs)
      log.info({ ...capabilities }, 'the NATS server can do what is needed')
      for (const { level, note } of notes) log[level]({ version: facts.version }, note)
      return capabilities
    } catch (thrown) {
      if (thrown instanceof TroupeError) throw thrown
      if (signal?.aborted || clock.monotonic() >= endMs) throw silent(thrown)
    }
    await new Promise<void>((resolve) => clock.after(RETRY_MS, resolve))
  }
}

/** Rejects once it is aborted. */
function abortOf(signal: AbortSignal | undefined): Promise<never> {
  const aborted = new Promise<never>((_resolve, reject) => {
    const abort = () => reject(new Error('this was told to end'))
    if (signal?.aborted) abort()
    else signal?.addEventListener('abort', abort, { once: true })
  })
  // It may come when nobody waits any more.
  aborted.catch(() => {})
  return aborted
}

interface AccountInfo {
  limits?: { max_streams?: number }
  api?: { level?: number }
}

async function factsOf(connection: Connection, timeoutMs: number): Promise<ServerFacts> {
  const { info } = connection.nats
  if (info === undefined) throw new Error('the connection is lost')
  // In a cluster other servers may have it.
  if (info.jetstream !== true && info.cluster === undefined) {
    throw bad(
      `JetStream is off on ${info.server_name}: start it with -js, or with a jetstream block`,
    )
  }
  const account = await askAccount(connection, timeoutMs)
  return {
    serverName: info.server_name,
    version: info.version,
    apiLevel: account.api?.level ?? 0,
    serverCluster: info.cluster,
    payloadBytesMax: info.max_payload,
    streamsMax: account.limits?.max_streams ?? -1,
    servers: await serverVariables(connection),
  }
}

async function askAccount(connection: Connection, timeoutMs: number): Promise<AccountInfo> {
  try {
    return await askApi<AccountInfo>(connection, 'INFO', {}, timeoutMs)
  } catch (thrown) {
    const isOff =
      thrown instanceof ApiError &&
      (thrown.code === API_ERROR.jetStreamOff || thrown.code === API_ERROR.jetStreamOffForAccount)
    if (isOff) throw bad(`JetStream is off: ${thrown.message}; turn it on for our account`)
    throw thrown
  }
}

/** @throws TroupeError `invalid-config` */
export function judge(
  facts: ServerFacts,
  needs: ProbeNeeds,
): { capabilities: Capabilities; notes: ProbeNote[] } {
  const { serverName, version, apiLevel, serverCluster, payloadBytesMax } = facts
  const parsed = parse(version)
  if (parsed === undefined || isBefore(parsed, OLDEST)) {
    throw bad(
      `nats-server ${version} is too old: ${OLDEST.slice(0, 2).join('.')} or newer is needed`,
    )
  }
  const bytesMin = needs.messageBytesMax + HEADER_BYTES_MAX
  if (payloadBytesMax < bytesMin) {
    throw bad(`max_payload of the server is ${payloadBytesMax}; at least ${bytesMin} is needed`)
  }
  if (needs.replicas % 2 === 0) {
    throw bad(`${needs.replicas} replicas survive no more than one less: use 1, 3 or 5`)
  }
  if (needs.replicas > 1 && serverCluster === undefined) {
    throw bad(
      `${needs.replicas} replicas need a cluster of NATS servers; ${serverName} stands alone: use 1`,
    )
  }
  const { streamsMax } = facts
  if (streamsMax >= 0 && streamsMax < needs.streams) {
    throw bad(`our account may have ${streamsMax} streams; ${needs.streams} are needed`)
  }
  const removal = removalOf(version, needs.replicas)
  return {
    capabilities: { serverName, version, apiLevel, serverCluster, payloadBytesMax, removal },
    notes: [
      ...notesOf(parsed, needs.replicas, { removal, serverCluster }),
      ...notesOfServers(facts, needs, removal),
    ],
  }
}

function notesOf(
  version: Version,
  replicas: number,
  { removal, serverCluster }: Pick<Capabilities, 'removal' | 'serverCluster'>,
): ProbeNote[] {
  const notes: ProbeNote[] = []
  const say = (level: ProbeNote['level'], note: string) => void notes.push({ level, note })
  if (replicas === 1 && serverCluster !== undefined) {
    say('warn', 'streams have one replica: what a NATS server holds stands still while it is down')
  }
  if (removal === 'one by one') {
    say(
      'info',
      'messages are removed one by one: before 2.9.18 a purge can empty replicas (nats-server #4212)',
    )
  }
  if (isBefore(version, [2, 10, 0])) {
    say(
      'info',
      'before 2.10 a server cannot be told to sync what it acknowledges (sync_interval): what it loses is put together again from the stores of the nodes',
    )
  }
  const isForgetful = !isBefore(version, [2, 10, 20]) && isBefore(version, [2, 10, 23])
  if (isForgetful) {
    say('warn', '2.10.20 to 2.10.22 can delete a stream when a server crashes: use another version')
  }
  return notes
}

/** What holds for the server at hand may not hold for those that keep the other replicas. */
function notesOfServers(
  { servers }: ServerFacts,
  { retentionMs, replicas }: ProbeNeeds,
  removal: Removal,
): ProbeNote[] {
  const keptS = retentionMs / 1_000
  if (servers.length === 0) {
    const why = `it is not known after how long servers give up a silent client (ping_interval, ping_max), as our account may not ask: it has to be sooner than ${keptS} s`
    return [{ level: 'info', note: why }]
  }
  return servers.flatMap(({ server, version, staleMs }): ProbeNote[] => {
    const isPatient = staleMs >= retentionMs
    const late = `${server} gives up a silent client after ${staleMs / 1_000} s (ping_interval, ping_max), and slots of the journal are kept for ${keptS} s: what a frozen node has sent may arrive later. Lower ping_interval`
    const isOlder = removal === 'purge' && removalOf(version, replicas) !== 'purge'
    const older = `${server} has version ${version}, where a purge can empty replicas (nats-server #4212): update it before the others`
    return [
      ...(isPatient ? [{ level: 'warn' as const, note: late }] : []),
      ...(isOlder ? [{ level: 'warn' as const, note: older }] : []),
    ]
  })
}

type Version = readonly [major: number, minor: number, patch: number]

function parse(version: string): Version | undefined {
  const [, major, minor, patch] = /^(\d+)\.(\d+)\.(\d+)/.exec(version) ?? []
  return patch === undefined ? undefined : [Number(major), Number(minor), Number(patch)]
}

function isBefore(one: Version, other: Version): boolean {
  const at = one.findIndex((part, index) => part !== other[index])
  return at >= 0 && one[at]! < other[at]!
}

function silent(thrown: unknown): TroupeError {
  const why = messageOfThrown(thrown)
  return new TroupeError(
    'unavailable',
    `nats: JetStream does not answer (${why}): it may be off, or its servers have no leader`,
  )
}

function bad(why: string): TroupeError {
  return new TroupeError('invalid-config', `nats: ${why}`)
}
