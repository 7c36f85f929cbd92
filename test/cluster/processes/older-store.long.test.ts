/** NATS comes back with an older copy of its store: what it has forgotten the nodes write again. */
import { join } from 'node:path'
import { afterEach, describe, expect, inject, it } from 'vitest'
import { missingNatsServer } from '../../nats-server.ts'
import { CheckedWork } from './checked.ts'
import { Processes } from './harness.ts'

/** As long as all the waits in it may take: the one that is in vain says why. */
const TIME_MS = 300_000

let cluster: Processes | undefined
let work: CheckedWork | undefined

afterEach(async () => {
  work?.end()
  await cluster?.close()
}, TIME_MS)

describe.skipIf(missingNatsServer)('journals that lost their ends', () => {
  it(
    'are whole again, and nothing that was acknowledged is lost',
    async () => {
      cluster = await Processes.open({ nodes: ['n1', 'n2', 'n3'] })
      await cluster.startAll()
      work = await CheckedWork.begin(cluster, { seed: inject('seed') })
      await work.more(100)
      const [server] = cluster.nats.servers
      const copy = join(cluster.directory, 'older store')
      await cluster.restartNats('stop', () => server!.copyStore(copy))
      await work.more(200)
      await cluster.restartNats('kill', () => server!.replaceStore(copy))
      await cluster.settled()
      await work.more(100)
      const { account, events } = await work.judge()
      expect(account).toBe('')
      const lost = events.findLastIndex(({ kind }) => kind === 'slots-lost')
      const before = new Set(
        events.slice(0, lost).flatMap((event) => (event.kind === 'slot' ? [event.hash] : [])),
      )
      const again = events
        .slice(lost)
        .filter((event) => event.kind === 'slot' && before.has(event.hash))
      expect(again.length, 'slots that were written again').toBeGreaterThan(0)
    },
    TIME_MS,
  )
})
