import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { until } from '../../waiting.ts'
import { JobsNode } from './rig.ts'

let node: JobsNode

beforeAll(async () => {
  node = await JobsNode.create()
  await node.addApp('tests')
})

afterAll(() => node.close())

/** Says its pid, then waits; the second time it is quick. */
const content = (marker: string) => `[ -e '${marker}' ] && exit 0; echo $$ >'${marker}'; sleep 600`

/** Kills shim and command, so that nobody is left who could say how it ended. */
async function lose(jobId: string, marker: string): Promise<void> {
  const pid = await until(
    async () => Number(await readFile(marker, 'utf8')),
    { timeoutMs: 10_000 },
    'a pid',
  )
  const directory = await node.node.apps[0]?.context.runs.latest(`job/${jobId}`)
  const claim = await readFile(join(directory ?? '', 'claim'), 'utf8')
  process.kill(Number(claim.split(' ')[0]), 'SIGKILL')
  process.kill(-pid, 'SIGKILL')
}

it('a job whose end nobody saw is stopped, and says what to do; it can be run again', async () => {
  const marker = join(node.directory, 'again')
  const jobId = await node.submit(content(marker))
  await lose(jobId, marker)
  await node.reaches(jobId, '6')
  const { body } = await node.call('/server/jobstatus', { jobId })
  expect(body.params.message).toContain('the end of the command was not seen (lost)')
  await node.node.client.resume(`job/${jobId}`)
  await node.reaches(jobId, '0')
})

it('or killed', async () => {
  const marker = join(node.directory, 'killed')
  const jobId = await node.submit(content(marker))
  await lose(jobId, marker)
  await node.reaches(jobId, '6')
  const killed = await node.call('/server/killjob', { jobId })
  expect(killed).toMatchObject({ status: 200, body: { params: { jobStatus: '8' } } })
})

it('one that may is run again by itself', async () => {
  const marker = join(node.directory, 'rerun')
  const jobId = await node.submit(content(marker), { onWorkerLost: 'rerun' })
  await lose(jobId, marker)
  await node.reaches(jobId, '0')
  const view = await node.operate('GET', `/jobs/${jobId}`)
  expect(view.body).toMatchObject({ status: 'success' })
})

it('a paused job says so, and is killed all the same', async () => {
  const jobId = await node.submit('sleep 600')
  await node.reaches(jobId, '3')
  await node.node.client.pause(`job/${jobId}`, { interrupt: true })
  const { body } = await node.call('/server/jobstatus', { jobId })
  expect(body.params).toMatchObject({
    jobStatus: '1',
    message: expect.stringContaining('paused by') as string,
  })
  expect((await node.call('/server/killjob', { jobId })).body.params.jobStatus).toBe('8')
})
