/**
 * `troupe storage blobnode` at work. Decides: what it says when it serves, and what ends it. Leaves to
 * others: its words (`settings.ts`), everything a blobnode does (`blobnode.ts`).
 */
import { openLog, TroupeError, toJson, type VerbCall } from '../../../../src/index.ts'
import { DiskFiles } from '../disk-files/index.ts'
import { Blobnode } from './blobnode.ts'
import type { DiskOpener } from './disk-store.ts'
import { type NodeCall, NodeList } from './node-calls.ts'
import { type BlobnodeSettings, settingsOf } from './settings.ts'
import { threadAdvice } from './thread-pool.ts'

/** Resolves with the exit code once a signal has ended it. @throws TroupeError */
export async function runBlobnode(call: VerbCall, env: NodeJS.ProcessEnv): Promise<number> {
  const settings = settingsOf(call.options, env)
  const log = openLog({ level: settings.logLevel })
  const advice = threadAdvice(settings.disks.length, env)
  if (advice !== undefined) log.warn({}, advice)
  const list = settings.nodes === undefined ? undefined : new NodeList(settings.nodes)
  const openDisk: DiskOpener = (disk) =>
    DiskFiles.open({ ...disk, chunkBytesMax: settings.chunkBytesMax })
  const blobnode = new Blobnode(settings, { call: list?.call ?? nodeOf(call), openDisk, log })
  try {
    await blobnode.start(call.signal)
    if (!call.signal.aborted) await greet(call, settings, blobnode)
    await aborted(call.signal)
    return 0
  } finally {
    await blobnode.stop()
    list?.close()
  }
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
