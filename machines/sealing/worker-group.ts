/**
 * The group that sealing workers of a cluster join. Decides: that it is there as soon as a node is, so that
 * nobody has to make it before the first worker comes. Leaves to others: groups themselves (the family
 * `workers`); over NATS their key lets nobody in.
 */
import { createHash, randomBytes } from 'node:crypto'
import { type AppContext, type AppDaemon, TroupeError } from '../../src/index.ts'
import { SEALING_QUEUE } from './thread/index.ts'

/** As `[troupe] group` of a worker says unless it says something else. */
export const SEALING_GROUP = 'sealing'
const GROUP_MACHINE = 'workergroup'
const AGAIN_MS = 5_000

export function groupKeeper({ client, clock, machines, log }: AppContext): AppDaemon {
  let cancel = () => {}
  let isStopped = false
  const ensure = async (): Promise<void> => {
    const now = clock.now()
    // Nobody knows a key that has this hash: over HTTP an operator rotates it first.
    const keyHash = createHash('sha256').update(randomBytes(32)).digest('hex')
    const record = { keyHash, queues: [SEALING_QUEUE], createdAt: now, keyedAt: now }
    try {
      await client.as('sealing').ensure(`${GROUP_MACHINE}/${SEALING_GROUP}`, record)
    } catch (thrown) {
      if (!(thrown instanceof TroupeError) || !thrown.retry) throw thrown
      if (isStopped) return
      cancel = clock.after(AGAIN_MS, () => void ensure().catch(tell))
    }
  }
  const tell = (error: unknown) => log.warn({ error }, 'the group of sealing workers is not made')
  return {
    name: 'keeps the group of sealing workers',
    start: async () => {
      if (machines.has(GROUP_MACHINE)) void ensure().catch(tell)
    },
    stop: async () => {
      isStopped = true
      cancel()
    },
  }
}
