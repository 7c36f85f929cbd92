import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { until } from '../../waiting.ts'
import { JobsNode } from './rig.ts'

let node: JobsNode

beforeAll(async () => {
  node = await JobsNode.create()
  await node.addApp('tests')
  await node.addApp('others')
})

afterAll(() => node.close())

/** True while a process of that pid lives; zombies do not. */
async function lives(pid: string): Promise<boolean> {
  const line = await readFile(`/proc/${pid.trim()}/stat`, 'utf8').catch(() => undefined)
  return line !== undefined && !/\) [ZX] /.test(line)
}

describe.each(['form', 'json'] as const)('a job over HTTP, bodies as %s', (as) => {
  it('is executed, and its status, log and result are read', async () => {
    const content = 'echo one; echo two; echo warning >&2'
    const fields = { jobName: 'rows', content, executor: 'ann', jobType: 'shell', groupId: 1 }
    const executed = await node.call('/server/execute', fields, 'tests', as)
    expect(executed).toMatchObject({ status: 200, body: { respCode: 0, params: {} } })
    const { jobId } = executed.body.params
    expect(jobId).toMatch(/^[1-9]\d*$/)
    await node.reaches(jobId, '0')
    const status = await node.call('/server/jobstatus', { jobId }, 'tests', as)
    expect(status.body.params).toEqual({ jobId, jobStatus: '0', message: 'success: exit code 0' })
    const result = await node.call('/server/result', { jobId }, 'tests', as)
    expect(result.body).toEqual({
      respCode: 0,
      respMsg: 'success',
      params: { data: ['one', 'two'], rowCnt: 2, isEnd: true, volume: '', offset: 8 },
    })
    const log = await node.call('/server/querylog', { jobId }, 'tests', as)
    expect(log.body).toEqual({
      respCode: 0,
      respMsg: 'success',
      log: 'warning\n',
      isEnd: true,
      offset: 8,
    })
    const kill = await node.call('/server/killjob', { jobId }, 'tests', as)
    expect(kill).toMatchObject({ status: 409, body: { respCode: 1 } })
    expect(kill.body.respMsg).toContain('has ended already')
  })
})

describe('the life of a job', () => {
  it('fails by its exit code or by a signal', async () => {
    const byCode = await node.submit('exit 7')
    await node.reaches(byCode, '5')
    const bySignal = await node.submit('kill -9 $$')
    await node.reaches(bySignal, '5')
    const messages = await Promise.all(
      [byCode, bySignal].map(
        async (jobId) => (await node.call('/server/jobstatus', { jobId })).body.params.message,
      ),
    )
    expect(messages).toEqual(['failed: exit code 7', 'failed: ended by SIGKILL'])
  })

  it('runs, and is killed with its whole process group', async () => {
    const jobId = await node.submit('sleep 600 & echo $!; echo $$; wait')
    await node.reaches(jobId, '3')
    const pids = await until(
      async () => {
        const { data } = (await node.call('/server/result', { jobId })).body.params
        return data.length === 2 ? data : undefined
      },
      { timeoutMs: 10_000 },
      'two pids',
    )
    expect(await Promise.all(pids.map(lives))).toEqual([true, true])
    const killed = await node.call('/server/killjob', { jobId })
    expect(killed).toMatchObject({ status: 200, body: { respCode: 0, params: { jobStatus: '8' } } })
    await until(
      async () => !(await Promise.all(pids.map(lives))).includes(true),
      { timeoutMs: 15_000 },
      'the end of the group',
    )
    // Again: it is as it should be.
    expect((await node.call('/server/killjob', { jobId })).status).toBe(200)
    expect((await node.call('/server/jobstatus', { jobId })).body.params.message).toBe(
      'killed: killed by app tests',
    )
  })

  it('waits for a worker of its group, and is killed there', async () => {
    const jobId = await node.submit('echo never', { groupId: 77 })
    const { body } = await node.call('/server/jobstatus', { jobId })
    expect(body.params).toMatchObject({
      jobStatus: '1',
      message: 'ready: waits for a worker of group 77 (job.group.77)',
    })
    expect((await node.call('/server/querylog', { jobId })).body).toMatchObject({
      log: '',
      isEnd: false,
    })
    await node.call('/server/killjob', { jobId })
    expect(await node.statusOf(jobId)).toBe('8')
    expect((await node.call('/server/querylog', { jobId })).body).toMatchObject({
      log: '',
      isEnd: true,
    })
  })

  it('has a directory, a name and an id of its own', async () => {
    const jobId = await node.submit(
      'basename "$PWD"; echo "$TROUPE_JOB_ID $TROUPE_JOB_NAME $TROUPE_APP"',
      { jobName: 'näme' },
    )
    await node.reaches(jobId, '0')
    const { data } = (await node.call('/server/result', { jobId })).body.params
    expect(data).toEqual(['work', `${jobId} näme tests`])
  })
})

describe('reading by offset and lines', () => {
  it('gives rows with multi-byte text, each once, and says when there are no more', async () => {
    const jobId = await node.submit('for i in 1 2 3 4 5; do echo "行-$i-ü"; done; printf 末')
    await node.reaches(jobId, '0')
    const rows: string[] = []
    let offset = 0
    for (let calls = 1; ; calls++) {
      const { params } = (await node.call('/server/result', { jobId, offset, lines: 2 })).body
      rows.push(...params.data)
      expect(params.rowCnt).toBe(params.data.length)
      offset = params.offset
      if (params.isEnd) {
        expect(calls).toBe(3)
        break
      }
    }
    expect(rows).toEqual([1, 2, 3, 4, 5].map((i) => `行-${i}-ü`).concat('末'))
  })

  it('reads a log while it grows, without a hole and without a repeat', async () => {
    const jobId = await node.submit('for i in 1 2 3 4 5 6; do printf "é$i " >&2; sleep 0.1; done')
    let text = ''
    let offset = 0
    await until(
      async () => {
        const { body } = await node.call('/server/querylog', { jobId, offset })
        text += body.log
        offset = body.offset
        return body.isEnd
      },
      { timeoutMs: 15_000, every: 30 },
      () => `the end of the log; so far ${text}`,
    )
    expect(text).toBe('é1 é2 é3 é4 é5 é6 ')
    const whole = (await node.call('/server/querylog', { jobId })).body
    expect(whole).toMatchObject({ log: text, offset, isEnd: true })
  })

  it('reads a log by lines, and an offset beyond the end as the end', async () => {
    const jobId = await node.submit('seq 5 >&2')
    await node.reaches(jobId, '0')
    const first = (await node.call('/server/querylog', { jobId, lines: 3 })).body
    expect(first).toMatchObject({ log: '1\n2\n3\n', offset: 6, isEnd: false })
    const rest = (await node.call('/server/querylog', { jobId, offset: 6, lines: 3 })).body
    expect(rest).toMatchObject({ log: '4\n5\n', offset: 10, isEnd: true })
    const beyond = (await node.call('/server/querylog', { jobId, offset: 99 })).body
    expect(beyond).toMatchObject({ log: '', offset: 10, isEnd: true })
  })
})

describe('an app', () => {
  it('shows and kills only what belongs to the app', async () => {
    const jobId = await node.submit('sleep 60')
    for (const path of ['jobstatus', 'querylog', 'result', 'killjob']) {
      const answer = await node.call(`/server/${path}`, { jobId }, 'others')
      expect(answer).toMatchObject({
        status: 404,
        body: { respCode: 1, respMsg: `there is no job ${jobId}` },
      })
    }
    expect(['1', '3']).toContain(await node.statusOf(jobId))
    await node.call('/server/killjob', { jobId })
  })
})

it('keeps the key of an app out of what operators are shown', async () => {
  const { body } = await node.operate('GET', '/troupe/v1/actors/app/tests')
  expect(JSON.stringify(body)).not.toContain(node.keyOf('tests'))
  const listed = await node.operate('GET', '/jobs/apps')
  expect(JSON.stringify(listed.body)).not.toContain(node.keyOf('tests'))
})

it('keeps its runs below the directory of the worker', async () => {
  const jobId = await node.submit('true')
  await node.reaches(jobId, '0')
  const latest = await node.node.apps[0]?.context.runs.latest(`job/${jobId}`)
  expect(latest?.startsWith(join(node.directory, 'worker'))).toBe(true)
})
