/** A worker that takes from the queues itself, and the death of the node that hears it. */
import { afterAll, beforeAll, expect, it } from 'vitest'
import { until } from '../../waiting.ts'
import { DirectRig, OWN, SOON } from './direct-rig.ts'

let rig: DirectRig

beforeAll(async () => {
  rig = await DirectRig.create('a', 'b')
})

afterAll(() => rig.close())

it('another node hears it, all that it wrote is there, and once when the first is back', async () => {
  const worker = await rig.worker('w1')
  const end = await rig.runUntilRemoved('1')
  const { node: first } = (await rig.viewAt(rig.at('a'), 'w1'))!
  const has = async () => (await rig.output(rig.at(first), 'run/1')) === 'begun\n'
  await until(has, SOON, 'it is kept')
  const survivor = rig.up.find(({ name }) => name !== first)!
  rig.at(first).kill()
  await rig.settled()
  end()
  expect(await rig.codeOf('1')).toBe(0)
  expect(await rig.output(survivor, 'run/1')).toBe('begun\nended\n')
  await rig.shows(survivor, 'w1', { status: 'online', node: survivor.name, running: 0 })
  expect(worker.status().state).toBe('serving')
  await rig.start(first, OWN)
  await rig.settled()
  for (const node of rig.up) {
    expect(await rig.output(node, 'run/1')).toBe('begun\nended\n')
    expect(await rig.runsAt(node).all('run/1')).toHaveLength(1)
  }
})
