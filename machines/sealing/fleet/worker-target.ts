/**
 * Which worker a command means. Decides: that a configuration wins over a host, what is typed over what the
 * environment says, and what stands for both when neither is given; how a name becomes an address; that a
 * token goes, in clear, only to this machine and to hosts that the operator has named. Leaves to others: the
 * calls.
 */
import { TroupeError, type VerbCall } from '../../../src/index.ts'
import {
  callable,
  type Place,
  parsePlace,
  placeText,
  RPC_HOST,
  RPC_PORT,
  readWorkerConfig,
  WorkerClient,
} from '../daemon/index.ts'
import { isLoopback } from '../daemon/places.ts'
import { tokenOf } from '../daemon/worker-token.ts'
import type { PingSummary } from '../manager/index.ts'

export const TARGET_OPTIONS = [
  { flags: '-c, --config <file>', description: 'its worker.toml (or DAMOCLES_WORKER_CONFIG)' },
  {
    flags: '--host <host:port>',
    description: `where it listens (or DAMOCLES_WORKER_HOST; ${RPC_HOST}:${RPC_PORT})`,
  },
] as const

/** Of a command that names a worker by its file or its place. */
export function targetOf(call: VerbCall): WorkerClient {
  const { file, host } = namedBy(call)
  if (file !== undefined) {
    const { host, port, tokenFile } = readWorkerConfig(file).rpcServer
    return clientOf(call, { host: callable(host), port }, tokenFile)
  }
  return clientOf(call, host === undefined ? LOCAL : placeOf(host), null)
}

/** What is typed counts before what a shell has set long ago. */
function namedBy({ options }: VerbCall): { file?: string | undefined; host?: string | undefined } {
  const typed = { file: textOf(options['config']), host: textOf(options['host']) }
  if (typed.file !== undefined || typed.host !== undefined) return typed
  const { DAMOCLES_WORKER_CONFIG: file, DAMOCLES_WORKER_HOST: host } = process.env
  return { file: textOf(file), host: textOf(host) }
}

const LOCAL: Place = { host: RPC_HOST, port: RPC_PORT }

export function isTargeted(call: VerbCall): boolean {
  return call.options['config'] !== undefined || call.options['host'] !== undefined
}

/**
 * At a place that a list has told: whoever pings may name any. @param typed what the operator calls it
 * @throws TroupeError `malformed` when a token would go to a host that nobody has named
 */
export function clientAt(call: VerbCall, dest: string, typed?: string): WorkerClient {
  const place = placeOf(dest)
  const client = clientOf(call, place, null)
  if (!client.hasToken || isLoopback(place.host)) return client
  const named = [...namedHosts(call), ...(typed === undefined ? [] : [typed])]
  if (named.some((text) => isAt(place, text))) return client
  const where = placeText(place)
  const why = `the token would go in clear to ${where}, which only a ping has named`
  throw new TroupeError('malformed', `${why}: allow it with --worker-host ${place.host}`)
}

function namedHosts({ options }: VerbCall): string[] {
  const given = options['workerHost']
  return Array.isArray(given) ? given.map(String) : []
}

/** A host alone stands for all of its ports. */
function isAt({ host, port }: Place, text: string): boolean {
  try {
    const named = parsePlace(text, port)
    return named.host.toLowerCase() === host.toLowerCase() && named.port === port
  } catch {
    // A worker's name need not be a host.
    return false
  }
}

/** By the name that it pings under, or by its address. @throws TroupeError `not-found` */
export async function namedTarget(call: VerbCall, name: string): Promise<WorkerClient> {
  const known = await knownDest(call, name)
  if (known !== undefined) return clientAt(call, known, name)
  try {
    return clientOf(call, placeOf(name), null)
  } catch (cause) {
    const why = `no instance found, and unable to parse ${JSON.stringify(name)} as an address`
    throw new TroupeError('not-found', why, { cause })
  }
}

async function knownDest(call: VerbCall, name: string): Promise<string | undefined> {
  try {
    const path = `/sealing/workers/${encodeURIComponent(name)}`
    const { body } = await call.http({ method: 'GET', path })
    return (body as PingSummary).dest
  } catch (thrown) {
    if (thrown instanceof TroupeError && thrown.code === 'not-found') return undefined
    // An address needs no node that knows it.
    if (/^[\d.:[\]a-fA-F]+$/.test(name)) return undefined
    throw thrown
  }
}

function placeOf(text: string): Place {
  const { host, port } = parsePlace(text, RPC_PORT)
  return { host: callable(host), port: port || RPC_PORT }
}

function clientOf(call: VerbCall, place: Place, tokenFile: string | null): WorkerClient {
  const file = optionOf(call, 'workerTokenFile', 'SEALING_WORKER_TOKEN_FILE') ?? tokenFile
  const token = file === null ? undefined : tokenOf(file)
  return new WorkerClient(place, { token, signal: call.signal })
}

function optionOf(call: VerbCall, name: string, variable: string): string | undefined {
  return textOf(call.options[name] ?? process.env[variable])
}

function textOf(given: unknown): string | undefined {
  return typeof given === 'string' && given !== '' ? given : undefined
}
