/**
 * JetStream's own requests and answers, as far as Troupe uses them.
 *
 * Decides: which answers of a server are certain (`ApiError`, `refused`), and that everything else is
 * unknown; that a message is read through the leader of its stream, never by a direct get, which any
 * replica answers; when a server is cut off from its cluster, and has to be left for another.
 * Leaves to others: what an unknown outcome means to whoever asked.
 */
import { headers, type Payload, type RequestOptions, type StreamInfo } from 'nats'
import { messageOfThrown } from '../../protocol/index.ts'
import type { Connection } from './connection.ts'

/** Codes of JetStream's errors; `code` of an error is only an HTTP status. */
export const API_ERROR = {
  /** This server knows no leader of JetStream. */
  unavailable: 10008,
  consumerNotFound: 10014,
  noMessage: 10037,
  jetStreamOffForAccount: 10039,
  deleteFailed: 10057,
  nameInUse: 10058,
  streamNotFound: 10059,
  wrongLastSequence: 10071,
  jetStreamOff: 10076,
  /** The same, of servers from 2.11 on that do not say the sequence. */
  wrongLastSequenceUnsaid: 10164,
} as const

/** Expectations of a write and what belongs to them; headers count for a server's payload limit. */
export const HEADER_BYTES_MAX = 256

/** How long JetStream's leader may take for a question that needs no stream. */
const LOOK_MS = 2_000

/** A server has understood a request, and refuses it. */
export class ApiError extends Error {
  readonly code: number

  constructor(code: number, description: string) {
    super(`${description} (${code})`)
    this.code = code
  }
}

export function isApiError(thrown: unknown, code: number): boolean {
  return thrown instanceof ApiError && thrown.code === code
}

interface ApiAnswer {
  error?: { err_code?: number; code: number; description?: string }
}

/**
 * One question to the JetStream API.
 * @throws ApiError when the server refuses; anything else leaves open whether it happened
 */
export async function askApi<T>(
  connection: Connection,
  subject: string,
  body: object,
  timeoutMs: number,
): Promise<T> {
  const options = { timeout: timeoutMs }
  return exchange<T>(connection, `$JS.API.${subject}`, JSON.stringify(body), options)
}

/** All that is asked of JetStream: who is not answered for long looks whether that is the server's fault. */
async function exchange<T>(
  connection: Connection,
  subject: string,
  payload: Payload,
  options: RequestOptions,
  parse: (data: Uint8Array) => T = answerOf<T>,
): Promise<T> {
  const { silence } = connection
  const askedAtMs = silence.nowMs
  try {
    const { data } = await connection.request(subject, payload, options)
    const answer = parse(data)
    silence.end()
    return answer
  } catch (thrown) {
    if (isAnswer(thrown)) silence.end()
    else if (connection.isConnected && silence.isEnough(askedAtMs)) void leaveIfCutOff(connection)
    throw thrown
  }
}

/** The streams that were asked for may have no leader; JetStream itself has one, if this server is not alone. */
async function leaveIfCutOff(connection: Connection): Promise<void> {
  if (connection.nats.info?.cluster === undefined) return
  try {
    const { data } = await connection.request('$JS.API.INFO', '', { timeout: LOOK_MS })
    answerOf(data)
  } catch (thrown) {
    if (!isAnswer(thrown)) return connection.leaveServer()
  }
  connection.silence.end()
}

function isAnswer(thrown: unknown): boolean {
  return thrown instanceof ApiError && thrown.code !== API_ERROR.unavailable
}

function answerOf<T>(data: Uint8Array): T {
  const bytes = Buffer.from(data.buffer, data.byteOffset, data.byteLength)
  const answer = JSON.parse(bytes.toString('utf8')) as T & ApiAnswer
  const { error } = answer
  if (error) throw new ApiError(error.err_code ?? error.code, error.description ?? 'refused')
  return answer
}

export interface Publication {
  stream: string
  subject: string
  /** Not touched by the caller until the outcome is known. */
  bytes: Uint8Array
  /** The sequence of the last message of this subject; 0 when there must be none. */
  afterOfSubject?: number
  /** The sequence of the last message of the stream. */
  after?: number
  /** Stays with the message. */
  mark?: { name: string; value: string }
  timeoutMs: number
}

export type PublicationOutcome =
  | { kind: 'stored'; sequence: number }
  /** An expectation did not hold. */
  | { kind: 'refused' }
  | { kind: 'unknown'; why: string }

/** Never rejects: what is not certain is `unknown`, and may still happen. */
export async function publish(
  connection: Connection,
  { stream, subject, bytes, afterOfSubject, after, mark, timeoutMs }: Publication,
): Promise<PublicationOutcome> {
  const expected = headers()
  if (afterOfSubject !== undefined) {
    expected.set('Nats-Expected-Last-Subject-Sequence', String(afterOfSubject))
  }
  if (after !== undefined) expected.set('Nats-Expected-Last-Sequence', String(after))
  if (mark !== undefined) expected.set(mark.name, mark.value)
  try {
    const options = { timeout: timeoutMs, headers: expected }
    const ack = await exchange<{ stream: string; seq: number }>(connection, subject, bytes, options)
    if (ack.stream === stream) return { kind: 'stored', sequence: ack.seq }
    return { kind: 'unknown', why: `another stream took it: ${ack.stream}` }
  } catch (thrown) {
    const isRefused =
      isApiError(thrown, API_ERROR.wrongLastSequence) ||
      isApiError(thrown, API_ERROR.wrongLastSequenceUnsaid)
    return isRefused ? { kind: 'refused' } : { kind: 'unknown', why: messageOfThrown(thrown) }
  }
}

export interface StoredMessage {
  subject: string
  sequence: number
  bytes: Uint8Array
  /** When the server took it, by its clock. */
  time: string
  /** As they stand in the message; empty without any. */
  headers: string
}

/**
 * A message by its sequence, the newest of a subject, or the first of one from a sequence on; undefined
 * when the leader says that there is none.
 */
export async function readMessage(
  connection: Connection,
  stream: string,
  query: { seq: number } | { last_by_subj: string } | { seq: number; next_by_subj: string },
  timeoutMs: number,
): Promise<StoredMessage | undefined> {
  const asked = `$JS.API.STREAM.MSG.GET.${stream}`
  const options = { timeout: timeoutMs }
  try {
    const found = await exchange(connection, asked, JSON.stringify(query), options, messageOf)
    const { subject, seq, time, hdrs } = found.message
    const { bytes } = found
    const headers = Buffer.from(hdrs ?? '', 'base64').toString('latin1')
    return { subject, sequence: seq, bytes, time, headers }
  } catch (thrown) {
    const isAbsent =
      isApiError(thrown, API_ERROR.noMessage) || isApiError(thrown, API_ERROR.streamNotFound)
    if (isAbsent) return undefined
    throw thrown
  }
}

interface FoundMessage {
  message: { subject: string; seq: number; time: string; hdrs?: string }
}

const DATA = Buffer.from('"data":"')
const QUOTE = 0x22

/**
 * Nearly all of the answer is the message's bytes as base64: they are decoded from where they stand, and only
 * the rest is read as JSON. No text in it can look like their name: its quotes would be escaped.
 */
function messageOf(data: Uint8Array): FoundMessage & { bytes: Uint8Array } {
  const answer = Buffer.from(data.buffer, data.byteOffset, data.byteLength)
  const at = answer.indexOf(DATA)
  if (at < 0) return { ...answerOf<FoundMessage>(answer), bytes: Buffer.alloc(0) }
  const from = at + DATA.length
  const to = answer.indexOf(QUOTE, from)
  const bytes = Buffer.from(answer.toString('latin1', from, to), 'base64')
  const rest = Buffer.concat([answer.subarray(0, from), answer.subarray(to)])
  return { ...answerOf<FoundMessage>(rest), bytes }
}

/** Undefined when the server says that there is no such stream. */
export async function readInfo(
  connection: Connection,
  stream: string,
  timeoutMs: number,
): Promise<StreamInfo | undefined> {
  try {
    return await askApi<StreamInfo>(connection, `STREAM.INFO.${stream}`, {}, timeoutMs)
  } catch (thrown) {
    if (isApiError(thrown, API_ERROR.streamNotFound)) return undefined
    throw thrown
  }
}

/** The subjects of a stream that match a pattern, in no order. */
export async function subjectsIn(
  connection: Connection,
  stream: string,
  pattern: string,
  timeoutMs: number,
): Promise<string[]> {
  type Page = { total?: number; state: { subjects?: Record<string, number> } }
  const found = new Set<string>()
  for (let offset = 0, total = 1; offset < total; ) {
    const request = { subjects_filter: pattern, offset }
    const page = await askApi<Page>(connection, `STREAM.INFO.${stream}`, request, timeoutMs)
    const subjects = Object.keys(page.state.subjects ?? {})
    for (const subject of subjects) found.add(subject)
    // What goes meanwhile makes the pages shorter.
    if (subjects.length === 0) break
    offset += subjects.length
    total = page.total ?? 0
  }
  return [...found]
}
