/**
 * Which part of Troupe a sample of a profile belongs to. Decides: the names of the parts. Leaves to others:
 * taking samples, and whose a frame of a library is (cpu-profile.ts).
 */
import type { Frame } from './cpu-profile.ts'

/** The first rule that fits; functions where a file does several things. */
const RULES: readonly (readonly [part: string, path: RegExp, functionName?: RegExp])[] = [
  ['GC', /^$/, /^\(garbage collector\)$/],
  ['idle', /^$/, /^\(idle\)$/],
  ['native and kernel', /^$/, /^\(program\)$/],
  ['the load itself', /^bench\/(?!machines)/],
  ['step: machine and XState', /^(src\/machine\/|bench\/machines)/],
  ['client', /^src\/client\//],
  ['transport', /^src\/adapters\/(memory\/|nats\/transport)/],
  ['journal over NATS', /^src\/adapters\/nats\/(journal|api|lines)/],
  [
    'connection: sockets and their text',
    /^(src\/adapters\/nats\/|node_modules\/nats\/|node:(net|internal\/stream))/,
  ],
  ['slots and tails', /^src\/shard\/(journaled-commit|slot-|tail|taking)/],
  ['gateway: JSON', /^src\/gateway\//],
  ['cluster', /^src\/(cluster|node)\//],
  ['event loop', /^src\/adapters\/system\/clock/],
  ['ids', /^src\/adapters\/system\//],
  ['LMDB on this thread: reads', /^src\/adapters\/lmdb\/store/, /^(get|page|range|count)$/],
  ['LMDB on this thread: writes', /^src\/adapters\/lmdb\//],
  [
    'checks',
    /^src\/protocol\/(check-command|command-id|address|errors|limits)|^src\/shard\/event-check/,
  ],
  ['dedupe', /^src\/shard\/dedupe/],
  ['encode: record', /^src\/shard\/records/],
  ['encode: history', /^src\/shard\/history/],
  ['rows: index, keys, counters', /^src\/shard\/(index-rows|keys|counters|batch)/],
  ['serving requests', /^src\/shard\/server/],
  ['replies and events', /^src\/shard\/(release|views)/],
  ['engine', /^src\/shard\//],
  ['hash', /^src\/protocol\/hash/],
]

const CODEC = /^src\/protocol\/codec/

export function partOfFrame(frame: Frame, callers: readonly Frame[]): string | undefined {
  if (CODEC.test(frame.path)) {
    const caller = callers.find(({ path }) => path.startsWith('src/') && !CODEC.test(path))
    const isWire = caller !== undefined && /^src\/(client\/|shard\/server)/.test(caller.path)
    return isWire ? 'codec: requests and replies' : undefined
  }
  for (const [part, path, functionName] of RULES) {
    if (path.test(frame.path) && (functionName?.test(frame.functionName) ?? true)) return part
  }
  return undefined
}
