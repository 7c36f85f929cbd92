/** What can be said of a job over HTTP takes effect with real commands: limits, attempts, priorities. */
import { createHmac } from 'node:crypto'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import { until } from '../../waiting.ts'
import { Receiver } from './receiver.ts'
import { JobsNode } from './rig.ts'

const SOON = { timeoutMs: 20_000 }

describe('on one node', () => {
  let node: JobsNode
  let receiver: Receiver

  beforeAll(async () => {
    node = await JobsNode.create()
    await node.addApp('tests')
    receiver = await Receiver.open()
  })

  afterAll(async () => {
    await node.close()
    await receiver.close()
  })

  afterEach(() => {
    receiver.received.length = 0
  })

  it('ends a run that takes too long, and begins the next only when its command is gone', async () => {
    const witness = join(node.directory, 'slow')
    const content = `trap 'sleep 0.5; echo gone >>${witness}; exit 1' TERM; echo began >>${witness}; while :; do sleep 0.1; done`
    const jobId = await node.submit(content, {
      runTimeout: 1,
      timeoutAttempts: 1,
      failedInterval: 0,
    })
    await node.reaches(jobId, '5')
    expect(await readFile(witness, 'utf8')).toBe('began\ngone\nbegan\ngone\n')
    const { body } = await node.operate('GET', `/jobs/${jobId}`)
    expect(body).toMatchObject({ message: 'took longer than 1 s', attempt: 2 })
  })

  it('tries again as often as it is told', async () => {
    const witness = join(node.directory, 'tries')
    const content = `echo x >>${witness}; [ "$(wc -l <${witness})" -ge 3 ]`
    const jobId = await node.submit(content, { failedAttempts: 2, failedInterval: 0 })
    await node.reaches(jobId, '0')
    expect(await readFile(witness, 'utf8')).toBe('x\nx\nx\n')
    expect((await node.operate('GET', `/jobs/${jobId}`)).body).toMatchObject({
      attempt: 3,
      failures: { failed: 2, timedOut: 0, lost: 0 },
    })
  })

  it('fails what no worker begins in time', async () => {
    const jobId = await node.submit('true', { groupId: 77, expiredTime: 1 })
    await node.reaches(jobId, '5')
    const { body } = await node.call('/server/jobstatus', { jobId })
    expect(body.params.message).toBe('failed: expired: no worker of group 77 began it within 1 s')
  })

  it('tells the receiver of the beginning and the end, signed by the key of the app', async () => {
    const jobId = await node.submit('exit 3', { callbackUrl: `${receiver.url}/told?a=b` })
    await until(() => receiver.received.length === 2, SOON, 'two callbacks')
    const bySequence = [...receiver.received].sort(
      (a, b) => Number(a.body['sequence']) - Number(b.body['sequence']),
    )
    expect(bySequence.map(({ body }) => body)).toEqual([
      {
        jobId,
        jobName: 'test',
        status: 'running',
        jobStatus: '3',
        message: '',
        attempt: 1,
        sequence: 1,
      },
      {
        jobId,
        jobName: 'test',
        status: 'failed',
        jobStatus: '5',
        message: 'exit code 3',
        attempt: 1,
        sequence: 2,
      },
    ])
    for (const { path, headers, text, body } of bySequence) {
      expect(path).toBe('/told?a=b')
      const signature = createHmac('sha256', node.keyOf('tests')).update(text).digest('hex')
      expect(headers['x-troupe-signature']).toBe(`sha256=${signature}`)
      expect(headers['x-troupe-delivery']).toBe(`${jobId}-${String(body['sequence'])}`)
    }
  })

  it('tries a callback again, and follows no redirect', async () => {
    receiver.location = `${receiver.url}/elsewhere`
    receiver.answers.push(302, 500)
    const jobId = await node.submit('true', { groupId: 77, callbackUrl: `${receiver.url}/again` })
    await node.call('/server/killjob', { jobId })
    await until(() => receiver.received.length >= 3, SOON, 'a third try')
    expect(receiver.received.map(({ path }) => path)).toEqual(['/again', '/again', '/again'])
    expect(receiver.received.map(({ body }) => body['status'])).toEqual([
      'killed',
      'killed',
      'killed',
    ])
    expect(await node.statusOf(jobId)).toBe('8')
  })

  it('does not show the key that signs, to whomever', async () => {
    const jobId = await node.submit('true', { groupId: 77, callbackUrl: receiver.url })
    const views = await Promise.all(
      [`/troupe/v1/actors/job/${jobId}`, `/jobs/${jobId}`].map((path) => node.operate('GET', path)),
    )
    for (const { body } of views) {
      expect(JSON.stringify(body)).toContain(receiver.url)
      expect(JSON.stringify(body)).not.toContain(node.keyOf('tests'))
    }
  })
})

it('runs what is urgent first', async () => {
  const node = await JobsNode.create({ worker: { slots: 1 } })
  try {
    await node.addApp('tests')
    const witness = join(node.directory, 'order')
    const first = await node.submit('sleep 600')
    await node.reaches(first, '3')
    const jobIds: string[] = []
    for (const priority of [1, 5, -3, 9])
      jobIds.push(await node.submit(`echo ${priority} >>${witness}`, { priority }))
    await node.call('/server/killjob', { jobId: first })
    for (const jobId of jobIds) await node.reaches(jobId, '0')
    expect(await readFile(witness, 'utf8')).toBe('9\n5\n1\n-3\n')
  } finally {
    await node.close()
  }
})

it('lets a job of an unknown type wait, say why, and go on once the type is configured', async () => {
  const node = await JobsNode.create()
  try {
    await node.addApp('tests')
    const jobId = await node.submit('x y', { jobType: 'printf' })
    const { body } = await node.call('/server/jobstatus', { jobId })
    expect(body.params).toMatchObject({
      jobStatus: '1',
      message:
        'waiting: waits for workers that know its type "printf" (apps.jobs.types); what group 1 knows: shell',
    })
    await node.stop()
    node.config = { jobs: { types: { printf: ['/usr/bin/printf', '%s', '{content}'] } } }
    await node.start()
    await node.reaches(jobId, '0')
    expect((await node.call('/server/result', { jobId })).body.params.data).toEqual(['x y'])
  } finally {
    await node.close()
  }
})

describe('a configuration that says as whom commands run', () => {
  let node: JobsNode

  beforeAll(async () => {
    const runAs = { ann: ['/usr/bin/env', 'AS=ann'] }
    node = await JobsNode.create({
      config: { jobs: { runAs, callbackHosts: ['receiver.example', 'other:8080'] } },
    })
    await node.addApp('tests')
  })

  afterAll(() => node.close())

  it('puts its words before the command', async () => {
    const jobId = await node.submit('echo "$AS in $(basename "$PWD")"; touch here', {
      executor: 'ann',
    })
    await node.reaches(jobId, '0')
    expect((await node.call('/server/result', { jobId })).body.params.data).toEqual(['ann in work'])
  })

  it('takes no content that is too long for an argument: the command would not begin', async () => {
    const fields = { jobName: 'n', executor: 'ann' }
    const content = `true ${'x'.repeat(128 * 1024 - 6)}`
    const jobId = await node.submit(content, fields)
    await node.reaches(jobId, '0')
    const longer = await node.call('/server/execute', { ...fields, content: `${content}x` })
    expect(longer).toMatchObject({ status: 413, body: { respCode: 1 } })
  })

  it.each([
    ['', 'executor is missing'],
    ['bob', 'executor "bob" is not one that commands can run as (apps.jobs.runAs); there are: ann'],
    ['constructor', 'is not one that commands can run as'],
  ])('refuses executor "%s"', async (executor, message) => {
    const fields = { jobName: 'n', content: 'true', executor }
    const answer = await node.call('/server/execute', fields)
    expect(answer).toMatchObject({ status: 400, body: { respCode: 1 } })
    expect(answer.body.respMsg).toContain(message)
  })

  it.each([
    ['http://receiver.example/x', 200],
    ['https://other:8080/x', 200],
    ['https://other/x', 400],
    ['http://127.0.0.1/', 400],
  ])('a list of hosts decides whether callbacks may go to %s', async (callbackUrl, status) => {
    const fields = { jobName: 'n', content: 'true', executor: 'ann', groupId: 77, callbackUrl }
    expect((await node.call('/server/execute', fields)).status).toBe(status)
  })
})
