/** What is wrong with the ground that a node stands on is a reason not to be ready. */
import { expect, it, onTestFinished } from 'vitest'
import { SystemClock, SystemRandom, silentLog } from '../../src/adapters/system/index.ts'
import { openNatsPorts } from '../../src/node/nats-ports.ts'
import { missingNatsServer, startNatsServer } from '../nats-server.ts'
import { until } from '../waiting.ts'
import { ClusterRig, QUICK } from './cluster-rig.ts'

const PATIENCE = { timeoutMs: 20_000 }

it('keeps a node from being ready for as long as it lasts', async () => {
  const rig = new ClusterRig([], QUICK)
  onTestFinished(() => rig.close())
  let troubles: string[] = []
  const a = await rig.start('a', {}, (ports) => ({ ...ports, troubles: () => troubles }))
  expect(await a.node.ready()).toMatchObject({ ready: true })
  troubles = ['it rains']
  expect(await a.node.ready()).toMatchObject({ ready: false, reasons: ['it rains'] })
  troubles = []
  expect(await a.node.ready()).toMatchObject({ ready: true })
})

it.skipIf(missingNatsServer)(
  'is said of NATS: what it refuses, and that it is not there',
  async () => {
    const users = (deny: string) => `authorization { users: [
    { user: n, password: p, permissions { publish: ">", subscribe: { allow: ">", deny: [${deny}] } } }
  ] }`
    const server = await startNatsServer({ config: users('') })
    onTestFinished(() => server.close())
    const ports = await openNatsPorts({
      options: { servers: [server.url], user: 'n', password: 'p' },
      ...{ replicas: 1, name: 'a', cluster: 'c', messageBytesMax: 1_024, signal: undefined },
      ...{ clock: new SystemClock(), random: new SystemRandom(), log: silentLog },
    })
    onTestFinished(() => ports.close())
    for (const name of ['w', 'x', 'y', 'z']) ports.transport.subscribe(`own.${name}`, {}, () => {})
    expect(ports.troubles!()).toEqual([])
    await server.reload(users('"own.>"'))
    const isTold = () => ports.troubles!().some((trouble) => trouble.includes('and 1 more'))
    await until(isTold, PATIENCE, () => `all four are told of: ${ports.troubles!()}`)
    expect(ports.troubles!()).toEqual([
      expect.stringMatching(
        /not allow our user to hear own\.\w, own\.\w, own\.\w and 1 more: .*users\.conf/,
      ),
    ])
    await server.kill()
    const isGone = () => ports.troubles!().includes('there is no connection to NATS')
    await until(isGone, PATIENCE, () => `it is gone: ${ports.troubles!()}`)
  },
)
