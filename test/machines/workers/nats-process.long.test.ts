/** `troupe worker` over NATS, in a process of its own that is killed. */
import { existsSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { missingNatsServer } from '../../nats-server.ts'
import { until } from '../../waiting.ts'
import { endRuns } from '../../worker/process/runs.ts'
import { NatsRig } from './nats-rig.ts'
import { TroupeProcess } from './troupe-process.ts'

const PATIENT = { timeoutMs: 40_000, every: 20 }

let rig: NatsRig
let started: TroupeProcess[]

async function worker(...more: string[]): Promise<TroupeProcess> {
  const words = ['--config', rig.workerFile(), '--name', 'w1', '--group', '2', ...more]
  const one = new TroupeProcess(['worker', '--data', join(rig.directory, 'w1'), ...words])
  started.push(one)
  await one.wrote('serves group 2 of the cluster troupe')
  return one
}

beforeEach(async () => {
  rig = await NatsRig.create()
  started = []
})

afterEach(async () => {
  await Promise.all(started.map((one) => one.end('SIGKILL')))
  await endRuns(join(rig.directory, 'w1', 'worker', 'attempts'))
  await rig.close()
})

describe.skipIf(missingNatsServer)('with a nats-server', () => {
  it('kill -9 of a worker: the next on its directory goes on with the same attempt', async () => {
    const [mark, gate] = [join(rig.directory, 'mark'), join(rig.directory, 'gate')]
    writeFileSync(gate, '')
    const shell = `echo run >> ${mark}; while [ -e ${gate} ]; do sleep 0.05; done; echo end >> ${mark}`
    const first = await worker()
    const { client } = rig.node
    await client.start('run/1', { shell, queue: 'job.group.2', onWorkerLost: 'park' })
    await until(() => existsSync(mark), PATIENT, 'it runs')
    expect(await first.end('SIGKILL')).toBe('SIGKILL')
    await worker()
    rmSync(gate)
    const isDone = ({ status }: { status: string }) => status === 'done'
    const view = await client.waitFor('run/1', isDone, PATIENT)
    expect(view.context).toMatchObject({ code: 0 })
    expect(readFileSync(mark, 'utf8')).toBe('run\nend\n')
  })
})
