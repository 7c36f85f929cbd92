/** A node whose disk is full: what it was told goes on elsewhere, and it comes back when there is room. */
import { afterEach, describe, expect, inject, it } from 'vitest'
import { missingNatsServer } from '../../nats-server.ts'
import { CheckedWork } from './checked.ts'
import { Processes } from './harness.ts'
import { missingSmallDisk, SmallDisk } from './small-disk.ts'

const TIME_MS = 170_000
const DISK_MEGABYTES = 24

let cluster: Processes | undefined
let work: CheckedWork | undefined
let disk: SmallDisk | undefined

if (missingSmallDisk !== undefined) process.stdout.write(`skipped: ${missingSmallDisk}\n`)

afterEach(async () => {
  work?.end()
  for (const node of cluster?.nodes ?? []) await node.kill()
  disk?.unmount()
  await cluster?.close()
}, TIME_MS)

describe.skipIf(missingNatsServer ?? missingSmallDisk)('a node whose disk is full', () => {
  it(
    'ends by itself, loses nothing, and comes back',
    async () => {
      cluster = await Processes.open({ nodes: ['n1', 'n2'] })
      const node = cluster.node('n1')
      disk = new SmallDisk(node.dataDirectory, DISK_MEGABYTES)
      await cluster.startAll()
      work = await CheckedWork.begin(cluster, { seed: inject('seed') })
      await work.more(50)
      disk.fill()
      await node.ended()
      expect(node.log).toMatch(/no space|ENOSPC|full/i)
      await work.more(50)
      disk.free()
      await node.start()
      await cluster.settled()
      const { account } = await work.judge()
      expect(account).toBe('')
    },
    TIME_MS,
  )
})
