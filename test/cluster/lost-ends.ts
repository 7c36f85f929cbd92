/**
 * Journals that lose their ends again and again while clients write. Two seconds of computing each time: the short
 * tier has few of them (`losses.test.ts`), the long one ten and more seeds.
 */
import { expect } from 'vitest'
import { Load } from './load.ts'
import { Cluster } from './nodes.ts'

export async function loseEndsUnderLoad(seed: number, times: number): Promise<void> {
  const cluster = new Cluster({ seed })
  await cluster.started(['a', 'b', 'c'])
  const load = await Load.on(cluster)
  for (let n = 0; n < times; n++) {
    await cluster.settle(700)
    cluster.loseLast(n % 8, 1 + (n % 4))
  }
  await cluster.until(() => cluster.isSettled(), 'it comes to rest')
  await load.judge()
  // Of what may have happened nobody is told that it did not.
  expect(load.failures.filter((one) => !one.endsWith('no-answer'))).toEqual([])
  for (const { stops } of cluster.live) expect(stops).toEqual([])
}
