/** A node goes away while jobs stand in every state: by an upgrade, and by kill -9. */
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, it } from 'vitest'
import { endRuns } from '../../worker/process/runs.ts'
import { Fleet } from './fleet.ts'
import { NodeChild } from './node-child.ts'
import { upgraded } from './upgrade.ts'

it('an upgrade loses no job, runs none twice, and delays none by more than it takes', async () => {
  const { delayMs } = await upgraded({ count: 6, intervalS: 5, runS: 4 })
  expect(delayMs).toBeLessThan(5_000)
}, 90_000)

it('kill -9, twice, loses no job and runs none twice', async () => {
  const directory = await mkdtemp(join(tmpdir(), 'troupe-jobs-states-'))
  const data = join(directory, 'data')
  const node = new NodeChild(data)
  try {
    await node.start()
    const fleet = new Fleet(node, directory, { count: 3, intervalS: 5, runS: 4 })
    await fleet.submit()
    for (let round = 0; round < 2; round++) {
      await node.kill()
      await node.start()
    }
    await fleet.judge(40_000)
  } finally {
    await node.kill()
    await endRuns(join(data, 'worker', 'attempts'))
    await rm(directory, { recursive: true, force: true, maxRetries: 5 })
  }
}, 120_000)
