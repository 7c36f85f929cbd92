/**
 * `troupe storage blobnode` at work. Decides: what it says when it serves, and what ends it. Leaves to
 * others: its words (`settings.ts`), everything a blobnode does (`blobnode.ts`).
 */
import { type Log, openLog, TroupeError, toJson, type VerbCall } from '../../../../src/index.ts'
import { startWorker } from '../../background/worker/index.ts'
import { DiskFiles } from '../disk-files/index.ts'
import { Blobnode } from './blobnode.ts'
import type { DiskOpener } from './disk-store.ts'
import { collectSeldom } from './kept-memory.ts'
import { type NodeCall, NodeList } from './node-calls.ts'
import { type BlobnodeSettings, settingsOf } from './settings.ts'
import { threadAdvice } from './thread-pool.ts'

/** Resolves with the exit code once a signal has ended it. @throws TroupeError */
export async function runBlobnode(call: VerbCall, env: NodeJS.ProcessEnv): Promise<number> {
  const settings = settingsOf(call.options, env)
  const log = openLog({ level: settings.logLevel })
  collectSeldom()
  const advice = threadAdvice(settings.disks.length, env)
  if (advice !== undefined) log.warn({}, advice)
  const list = settings.nodes === undefined ? undefined : new NodeList(settings.nodes)
  const openDisk: DiskOpener = (disk) =>
    DiskFiles.open({ ...disk, chunkBytesMax: settings.chunkBytesMax })
  const blobnode = new Blobnode(settings, { call: list?.call ?? nodeOf(call), openDisk, log })
  let stopWorker: (() => Promise<void>) | undefined
  try {
    await blobnode.start(call.signal)
    if (!call.signal.aborted) {
      stopWorker = workerOf(settings, blobnode, log)
      await greet(call, settings, blobnode)
    }
    await aborted(call.signal)
    return 0
  } finally {
    await stopWorker?.()
    await blobnode.stop()
    list?.close()
  }
}

/** At work until it is stopped; undefined where it has nothing to do. */
function workerOf(
  settings: BlobnodeSettings,
  blobnode: Blobnode,
  log: Log,
): (() => Promise<void>) | undefined {
  const { moveSlots, inspectSlots, taskNodes: nodes, idc, token } = settings
  if (moveSlots + inspectSlots === 0) return undefined
  if (nodes === undefined) {
    log.warn({}, 'this blobnode takes no tasks: they come over HTTP, so name nodes with --nodes')
    return undefined
  }
  return startWorker({ blobnode, idc, nodes, token, moveSlots, inspectSlots, log })
}

/** A person may wait longer for a node than a disk that is broken can. */
const NODE_MS_MAX = 10_000

/** The node, or the cluster over NATS, that every verb talks to. */
function nodeOf({ http, clock }: VerbCall): NodeCall {
  return (path, body) =>
    new Promise((resolve, reject) => {
      const why = `the node did not answer within ${NODE_MS_MAX} ms`
      const cancel = clock.after(NODE_MS_MAX, () => reject(new TroupeError('unavailable', why)))
      http({ method: 'POST', path, body }).then(resolve, reject).finally(cancel)
    })
}

async function greet(
  call: VerbCall,
  { host, rack, idc, disks }: BlobnodeSettings,
  { address }: Blobnode,
): Promise<void> {
  if (call.json) {
    return call.print(toJson({ address, host, rack, idc, disks: disks.map(({ id }) => id) }))
  }
  const ids = disks.map(({ id }) => id).join(', ')
  call.print(`blobnode ${host} (${idc}, ${rack}) serves disks ${ids} at ${address}`)
}

function aborted(signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) resolve()
    signal.addEventListener('abort', () => resolve(), { once: true })
  })
}
