/**
 * What a blobnode is told on its command line. Decides: what its words may be, and what stands for those
 * that are left out.
 */
import { readFileSync } from 'node:fs'
import { hostname } from 'node:os'
import { resolve } from 'node:path'
import { z } from 'zod'
import { TroupeError } from '../../../../src/index.ts'
import { CHUNK_BYTES_MAX } from '../disk-files/index.ts'
import { tokenIn } from '../token-file.ts'
import type { BlobnodeOptions } from './blobnode.ts'
import { PLACE_DEFAULT, parsePlace } from './places.ts'
import type { DiskPlace } from './served-disk.ts'

export const LOG_LEVELS = ['debug', 'info', 'warn', 'error', 'silent'] as const
export type LogLevel = (typeof LOG_LEVELS)[number]

export interface BlobnodeSettings extends BlobnodeOptions {
  logLevel: LogLevel
  /** Undefined: the node, or the cluster, that the command talks to anyhow. */
  nodes: NodePlaces | undefined
  /** Tasks at a time; 0: none. */
  moveSlots: number
  inspectSlots: number
  /** Where tasks come from: the same nodes. Undefined where the way to them is NATS: tasks come by HTTP. */
  taskNodes: NodePlaces | undefined
}

export interface NodePlaces {
  urls: string[]
  token: string | undefined
  ca: string | undefined
}

const CHUNK_BYTES_MIN = 1024 ** 2
const DISKS_MAX = 256
const DISK_ID_MAX = 4_294_967_295
/** Each holds some 50 MiB while it copies. */
const SLOTS_MAX = 64
const NODE_DEFAULT = 'http://127.0.0.1:9800'

/** A place has to fit into records of actors, and into tables. */
const name = z.string().regex(/^[\w.-]{1,64}$/, 'letters, digits, "_", "-" and ".", at most 64')
const slots = z
  .string()
  .regex(/^\d{1,3}$/, `a number from 0 to ${SLOTS_MAX}`)
  .transform(Number)
  .refine((count) => count <= SLOTS_MAX, `at most ${SLOTS_MAX}`)
const flags = z.object({
  disk: z.array(z.string(), 'name its disks: --disk 1=/data/1').min(1).max(DISKS_MAX),
  idc: name,
  rack: name,
  host: name.optional(),
  listen: z.string().optional(),
  advertise: z
    .string()
    .refine((url) => URL.canParse(url) && /^https?:$/.test(new URL(url).protocol), 'no URL')
    .optional(),
  tokenFile: z.string().optional(),
  nodes: z.string().optional(),
  chunkBytesMax: z.string().optional(),
  logLevel: z.enum(LOG_LEVELS, LOG_LEVELS.join(', ')).default('info'),
  moveSlots: slots.default(1),
  inspectSlots: slots.default(1),
  http: z.string().optional(),
  nats: z.string().optional(),
  token: z.string().optional(),
  ca: z.string().optional(),
})
type Flags = z.output<typeof flags>

/** @param given as commander has it @throws TroupeError `malformed`, `invalid-config` for files */
export function settingsOf(
  given: Readonly<Record<string, unknown>>,
  env: NodeJS.ProcessEnv,
): BlobnodeSettings {
  const parsed = flags.safeParse(given)
  if (!parsed.success) throw malformed(parsed.error)
  const { data } = parsed
  const { idc, rack, logLevel, advertise, tokenFile, moveSlots, inspectSlots } = data
  return {
    ...{ idc, rack, logLevel, moveSlots, inspectSlots },
    host:
      data.host ??
      hostname()
        .replace(/[^\w.-]/g, '-')
        .slice(0, 64),
    disks: disksOf(data.disk),
    listen: data.listen === undefined ? PLACE_DEFAULT : parsePlace(data.listen),
    advertise: advertise?.replace(/\/+$/, ''),
    token: tokenFile === undefined ? undefined : tokenIn(tokenFile, '--token-file'),
    chunkBytesMax: bytesOf(data.chunkBytesMax),
    nodes: data.nodes === undefined ? undefined : nodesOf(data.nodes, data, env),
    taskNodes: taskNodesOf(data, env),
  }
}

/** Ids of 64 bits keep their digits in a text of HTTP. */
function taskNodesOf(data: Flags, env: NodeJS.ProcessEnv): NodePlaces | undefined {
  const { nodes, http, nats } = data
  if (nodes !== undefined) return nodesOf(nodes, data, env)
  const isNats = nats !== undefined || (http === undefined && Boolean(env['TROUPE_NATS']))
  if (isNats) return undefined
  return nodesOf(http ?? (env['TROUPE_HTTP'] || NODE_DEFAULT), data, env)
}

function malformed({ issues: [issue] }: z.ZodError): TroupeError {
  const flag = String(issue?.path[0] ?? '').replace(/[A-Z]/g, (sign) => `-${sign.toLowerCase()}`)
  const why = issue?.code === 'invalid_type' && flag !== 'disk' ? 'it is needed' : issue?.message
  return new TroupeError('malformed', `--${flag}: ${why}`)
}

/** `1=/data/1`; each id, and each directory, once. */
function disksOf(given: readonly string[]): DiskPlace[] {
  const disks = given.map((text): DiskPlace => {
    const [, digits, path] = /^([1-9]\d{0,9})=(.+)$/s.exec(text) ?? []
    const id = Number(digits)
    if (path !== undefined && id <= DISK_ID_MAX) return { id, path: resolve(path) }
    const why = `"${text.slice(0, 80)}" is not an id and a directory such as 1=/data/1`
    throw new TroupeError('malformed', `--disk: ${why}`)
  })
  for (const field of ['id', 'path'] as const) {
    const seen = new Set<unknown>()
    for (const disk of disks) {
      if (seen.has(disk[field])) {
        throw new TroupeError('malformed', `--disk: ${disk[field]} is there twice`)
      }
      seen.add(disk[field])
    }
  }
  return disks
}

/** The credentials of the command, which has them only for the one node that it talks to. */
function nodesOf(text: string, { token, ca }: Flags, env: NodeJS.ProcessEnv): NodePlaces {
  const urls = text.split(',').map((url) => url.trim().replace(/\/+$/, ''))
  const wrong = urls.find((url) => !URL.canParse(url) || !/^https?:$/.test(new URL(url).protocol))
  if (wrong !== undefined) {
    const why = `"${wrong.slice(0, 80)}" is no URL such as http://10.0.0.1:9800`
    throw new TroupeError('malformed', `--nodes: ${why}`)
  }
  const tokenFile = env['TROUPE_TOKEN_FILE']
  const inFile = () => (tokenFile ? tokenIn(tokenFile, 'TROUPE_TOKEN_FILE') : undefined)
  const own = token ?? env['TROUPE_TOKEN'] ?? inFile()
  const caFile = ca ?? env['TROUPE_CA']
  return { urls, token: own, ca: caFile === undefined ? undefined : textOf(caFile) }
}

function textOf(file: string): string {
  try {
    return readFileSync(file, 'utf8')
  } catch (cause) {
    throw new TroupeError('invalid-config', `cannot read ${file}`, { cause })
  }
}

const UNITS: Readonly<Record<string, number>> = { '': 1, K: 1024, M: 1024 ** 2, G: 1024 ** 3 }

function bytesOf(text: string | undefined): number {
  if (text === undefined) return CHUNK_BYTES_MAX
  const [, digits, unit = ''] = /^(\d{1,12})([KMG]?)$/i.exec(text) ?? []
  const bytes = Number(digits) * (UNITS[unit.toUpperCase()] ?? 1)
  if (digits !== undefined && bytes >= CHUNK_BYTES_MIN && Number.isSafeInteger(bytes)) return bytes
  throw new TroupeError('malformed', `--chunk-bytes-max: "${text}" is no size such as 512M or 16G`)
}
