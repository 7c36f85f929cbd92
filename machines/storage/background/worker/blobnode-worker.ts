/**
 * The worker that runs inside a blobnode. Decides: what it is made of, and that its name is that of this one
 * process: whoever comes after it at the same place has not its leases. Leaves to others: all it does.
 */
import { randomBytes } from 'node:crypto'
import { type Clock, type Log, systemClock } from '../../../../src/index.ts'
import { type Blobnode, BlobnodeClient, COPY_MS_MAX, NodeList } from '../../plane/blobnode/index.ts'
import { Erasure } from '../../plane/erasure/index.ts'
import { Inspector } from '../inspect/index.ts'
import { MOVE_LIMITS } from './limits.ts'
import { MoveWorker } from './move-worker.ts'
import { HttpWorkerCalls } from './worker-calls.ts'

const NAME_BYTES = 6
/** A tasklet is copied in one call. */
const BLOBNODE_MS_MAX = COPY_MS_MAX

export interface BlobnodeWorkerOptions {
  /** It has started. */
  blobnode: Blobnode
  idc: string
  nodes: { urls: readonly string[]; token: string | undefined; ca: string | undefined }
  /** Of blobnodes. */
  token: string | undefined
  moveSlots: number
  inspectSlots: number
  log: Log
  clock?: Clock
}

/** At work from now on. @returns what ends it */
export function startWorker(options: BlobnodeWorkerOptions): () => Promise<void> {
  const { blobnode, idc, nodes, token, moveSlots, inspectSlots, log } = options
  const clock = options.clock ?? systemClock()
  const name = `${blobnode.address}#${randomBytes(NAME_BYTES).toString('hex')}`
  const list = new NodeList(nodes)
  const far = new BlobnodeClient({ token, timeoutMs: BLOBNODE_MS_MAX })
  const erasure = Erasure.onDemand()
  const stop = new AbortController()
  const calls = new HttpWorkerCalls({
    ...{ ask: list.ask, idc, worker: name, callMs: MOVE_LIMITS.callMs },
  })
  const chunks = blobnode.chunks(far, BLOBNODE_MS_MAX)
  const mover = new MoveWorker({ calls, chunks, erasure, log, clock, slots: moveSlots })
  const inspector = new Inspector({
    ...{ worker: name, calls, shards: far, clock, log, slots: inspectSlots },
  })
  mover.start()
  const inspected = inspector.run(stop.signal)
  return async () => {
    stop.abort(new Error('the worker stops'))
    await Promise.all([mover.stop(), inspected])
    await erasure.close()
    far.close()
    list.close()
  }
}
