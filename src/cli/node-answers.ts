/**
 * What a verb asks a node, and what it makes of the answer, whichever way both travel. Decides: how an answer
 * becomes a result or an error, and how "nobody is there" is told from "it said no".
 */
import type { VerbRequest, VerbResponse, VerbTransfer, VerbTransferred } from '../node/index.ts'
import { type ErrorRecord, fromJson, parseAddress, TroupeError } from '../protocol/light.ts'
import { Unreachable } from './exit-codes.ts'

/** A way to a node. */
export interface NodeCaller {
  /** For messages. */
  readonly url: string
  /** @throws TroupeError as the node answered @throws Unreachable */
  call(request: VerbRequest): Promise<VerbResponse>
  /**
   * An answer that goes on, by its bytes as they come. It breaks off with an error when nothing comes
   * for `silentMsMax`. @param after the id of the last event that was seen
   * @throws TroupeError as the node answered @throws Unreachable
   */
  stream(
    request: VerbRequest,
    after: string | undefined,
    silentMsMax: number,
  ): Promise<AsyncIterable<Uint8Array>>
  /**
   * Bytes of any length, both ways.
   * @throws TroupeError as the node answered, `malformed` where only messages travel @throws Unreachable
   */
  transfer(request: VerbTransfer): Promise<VerbTransferred>
  close(): Promise<void>
}

/** What came back. */
export interface Answered {
  status: number
  /** Its media type. */
  type: string
  text: string
}

/** How long a node may take where nobody says. */
export const TIMEOUT_MS_DEFAULT = 40_000
/** An answer needs time to travel after the node has given up. */
export const TRAVEL_MS = 2_000

/** @throws TroupeError as the node answered @throws Unreachable */
export function answerOf(url: string, { status, type, text }: Answered): VerbResponse {
  const isJson = type.includes('json')
  const body = isJson ? jsonOf(url, text) : text
  if (status >= 400) {
    const record = (body as { error?: ErrorRecord } | null)?.error
    if (typeof record?.code === 'string') throw TroupeError.from(record)
    // An app may refuse in its own JSON; of a text nobody could tell whose it is.
    if (!isJson) throw new Unreachable(`${url} answers ${status}: is it a Troupe node?`)
  }
  return { status, body }
}

function jsonOf(url: string, text: string): unknown {
  try {
    return fromJson(text)
  } catch (cause) {
    throw new Unreachable(`what answers at ${url} is no Troupe node: its JSON is broken`, { cause })
  }
}

/** The path of a request with its parameters, as it stands in a first line. */
export function targetOf({ path, query = {} }: Pick<VerbRequest, 'path' | 'query'>): string {
  const search = new URLSearchParams()
  for (const [name, value] of Object.entries(query))
    if (value !== undefined) search.set(name, value)
  return search.size > 0 ? `${path}?${search}` : path
}

/** `order/7/payment` as the gateway writes it in a path. @throws TroupeError `invalid-address` */
export function actorPath(address: string, verb = ''): string {
  const { machine, id, path } = parseAddress(address)
  const children = path.map((child) => `/children/${encodeURIComponent(child)}`).join('')
  const tail = verb === '' ? '' : `/${verb}`
  return `/troupe/v1/actors/${encodeURIComponent(machine)}/${encodeURIComponent(id)}${children}${tail}`
}
