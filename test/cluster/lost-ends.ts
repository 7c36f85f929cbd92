/**
 * Journals that lose their ends again and again while clients write. It computes for a quarter of a minute on a
 * busy machine, so the short tier has one seed of it (`losses.test.ts`) and the long one the others.
 */
import { expect } from 'vitest'
import { Load } from './load.ts'
import { Cluster } from './nodes.ts'

export async function loseEndsUnderLoad(seed: number): Promise<void> {
  const cluster = new Cluster({ seed })
  await cluster.started(['a', 'b', 'c'])
  const load = await Load.on(cluster)
  for (let n = 0; n < 10; n++) {
    await cluster.settle(700)
    cluster.loseLast(n % 8, 1 + (n % 4))
  }
  await cluster.until(() => cluster.isSettled(), 'it comes to rest')
  await load.judge()
  // Of what may have happened nobody is told that it did not.
  expect(load.failures.filter((one) => !one.endsWith('no-answer'))).toEqual([])
  for (const { stops } of cluster.live) expect(stops).toEqual([])
}
