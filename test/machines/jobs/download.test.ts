/** `/server/result/download`, `troupe jobs download` and `/server/clientstatus`. */
import { createHash } from 'node:crypto'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { JobsNode } from './rig.ts'

let node: JobsNode

beforeAll(async () => {
  node = await JobsNode.create()
  await node.addApp('tests')
  await node.addApp('others')
  await node.addApp('ops', true)
})

afterAll(() => node.close())

describe('a download', () => {
  it('is the whole result byte by byte, under a name of its own', async () => {
    // Every byte there is, and more than one block of a stream.
    const content = `awk 'BEGIN { for (i = 0; i < 256; i++) printf "%c", i; for (i = 0; i < 150000; i++) print i }'`
    const jobId = await node.submit(`LC_ALL=C ${content}`)
    await node.reaches(jobId, '0')
    const answer = await node.download({ jobId })
    expect(answer.status).toBe(200)
    expect(answer.headers.get('content-disposition')).toBe(
      `attachment;filename=result_job_${jobId}.txt`,
    )
    expect(answer.headers.get('x-troupe-end')).toBe('true')
    const bytes = Buffer.from(await answer.arrayBuffer())
    const numbers = Array.from({ length: 150_000 }, (_, i) => `${i}\n`).join('')
    const wanted = Buffer.concat([
      Uint8Array.from({ length: 256 }, (_, i) => i),
      Buffer.from(numbers),
    ])
    expect(hashOf(bytes)).toBe(hashOf(wanted))
    const rest = await node.download({ jobId, offset: wanted.length - 7 })
    expect(await rest.text()).toBe('149999\n')
    expect(await (await node.download({ jobId, offset: wanted.length + 7 })).text()).toBe('')
  })

  it('of a job that runs is what is there, and says that more can come', async () => {
    const jobId = await node.submit('sleep 600', { groupId: 77 })
    const answer = await node.download({ jobId })
    expect(answer.headers.get('x-troupe-end')).toBe('false')
    expect(await answer.text()).toBe('')
    await node.call('/server/killjob', { jobId })
  })

  it.each([
    ['another app', 'others', {}, 404, 'there is no job'],
    ['a job that is none', 'tests', { jobId: 'x' }, 400, 'jobId must be'],
    ['an offset below 0', 'tests', { offset: -1 }, 400, 'offset must be'],
    ['a wrong token', 'tests', { token: 'x' }, 401, 'Invalid appToken'],
  ])('refuses %s, in the envelope', async (_what, app, fields, status, message) => {
    const jobId = await node.submit('true')
    const answer = await node.download({ jobId, ...fields }, app)
    expect(answer.status).toBe(status)
    const body = (await answer.json()) as { respCode: number; respMsg: string }
    expect(body.respCode).toBe(1)
    expect(body.respMsg).toContain(message)
  })
})

function hashOf(bytes: Uint8Array): string {
  return createHash('sha256').update(bytes).digest('hex')
}

describe('clientstatus', () => {
  const facts = {
    group: '9',
    address: '10.0.0.9:10001',
    version: '1',
    slots: 4,
    node: 'n1',
    refusals: [],
    heardAt: 0,
    lostMs: 180_000,
  }
  const at = { ip: '10.0.0.9', port: 10_001 }
  const dutyOf = async (name: string) => {
    const { value } = await node.node.client.get(`worker/${name}`)
    return (value as { duty: string }).duty
  }

  it('takes the workers at an address out of service, and back in', async () => {
    await node.node.client.start('worker/a', facts)
    await node.node.client.start('worker/b', { ...facts, address: '10.0.0.8:10001' })
    const offline = await node.call('/server/clientstatus', { ...at, status: 0 }, 'ops')
    expect(offline.body).toMatchObject({ respCode: 0, params: { status: '0', workers: 1 } })
    expect([await dutyOf('a'), await dutyOf('b')]).toEqual(['offline', 'online'])
    await node.call('/server/clientstatus', { ...at, status: 1 }, 'ops')
    expect(await dutyOf('a')).toBe('online')
  })

  it.each([
    ['an app that is no admin', 'tests', { ...at, status: 0 }, 403, 'added with --admin'],
    [
      'an address without a worker',
      'ops',
      { ...at, port: 1, status: 0 },
      404,
      'no worker at 10.0.0.9:1',
    ],
    ['no ip', 'ops', { port: 1, status: 0 }, 400, 'ip is missing'],
    ['no port', 'ops', { ip: 'a', status: 0 }, 400, 'port is missing'],
    ['port 65536', 'ops', { ip: 'a', port: 65_536, status: 0 }, 400, 'port must be'],
    ['no status', 'ops', at, 400, 'status is missing'],
    ['status 2', 'ops', { ...at, status: 2 }, 400, 'status must be'],
  ])('refuses %s', async (_what, app, fields, status, message) => {
    const answer = await node.call('/server/clientstatus', fields, app)
    expect(answer).toMatchObject({ status, body: { respCode: 1 } })
    expect(answer.body.respMsg).toContain(message)
  })
})
