/** A job id is used once, whatever operators do to the actor that counts. */
import { afterAll, beforeAll, expect, it } from 'vitest'
import { JobsNode } from './rig.ts'

const COUNTER = '/troupe/v1/actors/jobids/main'

let node: JobsNode

beforeAll(async () => {
  node = await JobsNode.create({ worker: false })
  await node.addApp('tests')
})

afterAll(() => node.close())

it('ids do not begin anew: their source can be neither deleted nor cancelled', async () => {
  const first = Number(await node.submit('true'))
  for (const [method, path] of [
    ['DELETE', COUNTER],
    ['POST', `${COUNTER}/cancel`],
  ] as const) {
    const { status, body } = await node.operate(method, path)
    expect([status, body]).toMatchObject([409, { error: { code: 'conflict' } }])
  }
  await node.stop()
  await node.start()
  expect(Number(await node.submit('true'))).toBeGreaterThan(first)
})
