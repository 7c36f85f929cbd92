/**
 * Bytes of a piece to a url or from one. Decides: how they are sent, and which answers can be tried again.
 * Secrets of a url (its query, a token) stand in no message.
 */
import { createReadStream, createWriteStream } from 'node:fs'
import { copyFile, mkdir, stat } from 'node:fs/promises'
import { request as requestPlain } from 'node:http'
import { request as requestSecure } from 'node:https'
import { dirname } from 'node:path'
import { Readable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { fileURLToPath } from 'node:url'
import { TaskError, TroupeError } from '../../../src/index.ts'
import { flush, moveDurably } from '../stores/index.ts'
import { type FailureLevel, stepError } from '../thread/index.ts'
import { causeChain } from './failures.ts'

/** Without a byte or an answer for so long the receiver is gone. */
const SILENCE_MS_MAX = 120_000
/** Enough of an answer to see what is wrong. */
const ANSWER_CHARS_MAX = 400

export interface SendOptions {
  signal: AbortSignal
  token?: string | undefined
}

/** @throws stepError: `permanent` when the receiver says no, `temporary` when it may say yes later */
export async function putFile(path: string, url: URL, options: SendOptions): Promise<void> {
  const { status, text } = await answerOf(path, url, options).catch((thrown: unknown) => {
    throw unreached(url, options.signal, thrown)
  })
  if (status >= 200 && status < 300) return
  throw stepError(levelOfStatus(status), `${nameOf(url)} answers ${status} to the piece: ${text}`)
}

/** @throws stepError as `putFile` */
export async function getFile(url: URL, path: string, options: SendOptions): Promise<void> {
  const { signal, token } = options
  const headers = token === undefined ? {} : { authorization: `Bearer ${token}` }
  try {
    // A redirect to another server is followed without the token.
    const response = await fetch(url, { signal, headers })
    if (!response.ok || !response.body) {
      const text = (await response.text()).slice(0, ANSWER_CHARS_MAX)
      const why = `${nameOf(url)} answers ${response.status} when asked for the piece: ${text}`
      throw stepError(levelOfStatus(response.status), why)
    }
    await pipeline(Readable.fromWeb(response.body), createWriteStream(path))
  } catch (thrown) {
    if (thrown instanceof TaskError) throw thrown
    throw unreached(url, signal, thrown)
  }
}

function levelOfStatus(status: number): FailureLevel {
  const isPassing = status >= 500 || status === 408 || status === 429
  return isPassing ? 'temporary' : 'permanent'
}

function unreached(url: URL, signal: AbortSignal, thrown: unknown): unknown {
  if (signal.aborted) return signal.reason
  return stepError('temporary', `${nameOf(url)} cannot be reached: ${causeChain(thrown)}`, thrown)
}

/** Redirects are not followed: the manager named the receiver, and the token is for that one. */
async function answerOf(path: string, url: URL, { signal, token }: SendOptions) {
  const { size } = await stat(path)
  const send = url.protocol === 'https:' ? requestSecure : requestPlain
  const request = send(url, {
    method: 'PUT',
    signal,
    timeout: SILENCE_MS_MAX,
    headers: {
      'content-type': 'application/octet-stream',
      'content-length': size,
      ...(token === undefined ? {} : { authorization: `Bearer ${token}` }),
    },
  })
  request.on('timeout', () => request.destroy(new Error(`nothing in ${SILENCE_MS_MAX} ms`)))
  const answering = new Promise<{ status: number; text: string }>((resolve, reject) => {
    request.on('error', reject)
    request.on('response', (response) => {
      let text = ''
      response.setEncoding('utf8')
      response.on('data', (chunk: string) => {
        if (text.length < ANSWER_CHARS_MAX) text += chunk.slice(0, ANSWER_CHARS_MAX)
      })
      response.on('error', reject)
      response.on('end', () => resolve({ status: response.statusCode ?? 0, text }))
    })
  })
  // A receiver may answer before it has all, and close: the answer counts then.
  const sending = pipeline(createReadStream(path), request)
  const [answer, sent] = await Promise.allSettled([answering, sending])
  if (answer.status === 'fulfilled') return answer.value
  throw sent.status === 'rejected' ? sent.reason : answer.reason
}

/** `market://store/piece?host=…&scheme=…&token=…`: a store of pieces of the market. */
export function marketUrl(url: URL, pieceCid: string, signal: AbortSignal): [URL, SendOptions] {
  const host = url.searchParams.get('host') ?? ''
  const scheme = url.searchParams.get('scheme') ?? 'http'
  const token = url.searchParams.get('token') ?? undefined
  const base = `${scheme}://${host}/resource`
  const isWeb = scheme === 'http' || scheme === 'https'
  if (host === '' || !isWeb || !URL.canParse(base) || new URL(base).host !== host) {
    throw refusedUrl(url, 'it needs host=<name:port> and scheme=http or https')
  }
  const target = new URL(base)
  target.searchParams.set('resource-id', pieceCid)
  target.searchParams.set('store', decodeURIComponent(url.host))
  return [target, { signal, token }]
}

/** Whole or not at all. */
export async function copyTo(path: string, url: URL): Promise<void> {
  if (url.host !== '') throw refusedUrl(url, 'a file is on this machine: write file:///path')
  const to = fileURLToPath(url)
  await mkdir(dirname(to), { recursive: true })
  const draft = `${to}.draft`
  await copyFile(path, draft)
  await flush(draft)
  await moveDurably(draft, to)
}

export function refusedUrl(url: URL, why: string): TroupeError {
  return new TroupeError('malformed', `${nameOf(url)} cannot take the piece: ${why}`)
}

function nameOf({ protocol, host, pathname }: URL): string {
  return `${protocol}//${host}${pathname}`
}
