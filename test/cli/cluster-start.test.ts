/** `troupe start --nats`: a node that joins a cluster, as a person sees it. */
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { type AddressInfo, createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { connect } from 'nats'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { shop } from '../gateway/rig.ts'
import { missingNatsServer, type NatsServer, startNatsServer } from '../nats-server.ts'
import { until } from '../waiting.ts'
import { type Ran, run } from './rig.ts'

let cwd: string
beforeAll(async () => {
  cwd = await mkdtemp(join(tmpdir(), 'troupe-join-'))
})
afterAll(() => rm(cwd, { recursive: true, force: true }))

/** Starts and stops as soon as `until` was printed. */
function started(argv: readonly string[], until = 'Ctrl-C'): Promise<Ran> {
  const interrupt = new AbortController()
  return run(['start', '--http', '0', ...argv], {
    cwd,
    interrupt: interrupt.signal,
    onOut: (out) => void (out.includes(until) && interrupt.abort()),
  })
}

it.each([
  [['--nats', ','], '--nats: name a server'],
  [['--nats', 'http://127.0.0.1:1'], 'is not an address such as nats://127.0.0.1:4222'],
  [['--nats', 'nats://ann:secret@127.0.0.1'], 'give user and password beside the address'],
  [['--nats', 'nats://127.0.0.1:1', '--cluster', 'a.b'], '--cluster: "a.b"'],
  [['--replace'], '--replace: only a node of a cluster'],
  [['--shards', '0'], '--shards: "0" is not a whole number from 1 to 4096'],
  [['--shards', '4097'], '--shards: "4097" is not'],
  [['--shards', '1e2'], '--shards: "1e2" is not'],
])('refuses %j', async (argv, why) => {
  const { code, err } = await started(argv)
  expect(code).toBe(2)
  expect(err).toContain(why)
  expect(err).not.toContain('secret')
})

it('names the line of the file that is wrong', async () => {
  await writeFile(join(cwd, 'bad.yaml'), 'nats:\n  servers: [nats://127.0.0.1:1]\n  replicas: 2\n')
  const { code, err } = await started(['--config', 'bad.yaml'])
  expect({ code, err }).toMatchObject({
    code: 2,
    err: expect.stringContaining('bad.yaml:3: nats.replicas: wanted is the number 1, 3 or 5'),
  })
  await writeFile(join(cwd, 'none.yaml'), '\nnats:\n  zone: a\n')
  const none = await started(['--config', 'none.yaml'])
  expect(none.err).toContain('none.yaml:2: nats: servers is missing')
})

it('ends when it is told to while it waits for a server', async () => {
  const interrupt = new AbortController()
  let calls = 0
  const silent = createServer((socket) => {
    socket.destroy()
    calls += 1
    if (calls === 2) interrupt.abort()
  })
  await new Promise<void>((resolve) => silent.listen(0, '127.0.0.1', resolve))
  const { port } = silent.address() as AddressInfo
  const argv = ['start', '--http', '0', '--data', 'w', '--nats', `127.0.0.1:${port}`]
  const { code, err } = await run(argv, { cwd, interrupt: interrupt.signal })
  await new Promise((resolve) => silent.close(resolve))
  expect(code, err).toBe(0)
  expect(calls).toBeGreaterThanOrEqual(2)
})

describe.skipIf(missingNatsServer)('with a nats-server', () => {
  let nats: NatsServer
  beforeAll(async () => {
    nats = await startNatsServer()
  })
  afterAll(() => nats.close())

  it('says whom it has joined, and that all shards are here: as many as it was made with', async () => {
    const argv = ['--nats', nats.url, '--name', 'n1', '--cluster', 'main', '--data', 'n1']
    const { code, out, err } = await started([...argv, '--shards', '5'])
    expect(code, err).toBe(0)
    expect(out).toContain('cluster   main: n1; leader n1, 5 of 5 shards owned here')
    await writeFile(join(cwd, 'six.yaml'), 'cluster: main\nshards: 6\n')
    const others = ['--nats', nats.url, '--name', 'n2', '--data', 'n2', '--config', 'six.yaml']
    const refused = await started(others)
    expect(refused).toMatchObject({ code: 2 })
    const why = 'six.yaml:2: shards: the cluster "main" has 5, and this node was told of 6'
    expect(refused.err).toContain(why)
  })

  it('brings what a node had alone into a cluster that has nothing, and only there', async () => {
    const told: string[] = []
    const shown = (data: string, cluster: string, how: readonly string[], method = 'GET') => {
      const interrupt = new AbortController()
      const ask = async (url: string) => {
        const body = method === 'POST' ? { body: '{"customer":"ann"}' } : {}
        const headers = { 'content-type': 'application/json' }
        const path = `${url}/troupe/v1/actors/order/1`
        told.push(await (await fetch(path, { method, headers, ...body })).text())
        interrupt.abort()
      }
      let isAsked = false
      return run(['start', '--http', '0', '--data', data, '--cluster', cluster, ...how], {
        ...{ cwd, apps: [shop], isTty: true, interrupt: interrupt.signal },
        onOut: (out) => {
          const url = /http:\/\/127\.0\.0\.1:\d+/.exec(out)?.[0]
          if (isAsked || !url || !out.includes('Ctrl-C')) return
          isAsked = true
          void ask(url)
        },
      })
    }
    const joins = ['--nats', nats.url, '--name', 'n7']
    expect(await shown('old', 'shop', [], 'POST')).toMatchObject({ code: 0 })
    const { code, out, err } = await shown('old', 'shop', joins)
    expect(code, err).toBe(0)
    expect(err).toContain('publish shards [')
    expect(out).toContain('cluster   shop: n7; leader n7, 64 of 64 shards owned here')
    expect(JSON.parse(told.at(-1)!)).toMatchObject({ context: { customer: 'ann' } })
    const back = await started(['--data', 'old', '--cluster', 'shop'])
    expect(back.code).toBe(2)
    expect(back.err).toContain('belongs to the node n7 of the cluster "shop": start it as that one')

    expect(await shown('other', 'shop', [], 'POST')).toMatchObject({ code: 0 })
    const refused = await started(['--data', 'other', '--cluster', 'shop', ...joins])
    expect(refused.code).toBe(5)
    expect(refused.err).toContain('the cluster "shop" has data of its own')
    expect(await shown('other', 'shop', [])).toMatchObject({ code: 0 })
  })

  it('is there for any client of NATS, which knows nothing of Troupe', async () => {
    const interrupt = new AbortController()
    const answers: unknown[] = []
    const events: unknown[] = []
    const talk = async () => {
      const client = await connect({ servers: nats.url })
      const ask = async (subject: string, body?: object) => {
        const text = body === undefined ? '' : JSON.stringify(body)
        const { data } = await client.request(subject, text, { timeout: 5_000 })
        return JSON.parse(Buffer.from(data).toString())
      }
      client.subscribe('troupe.main.event.order.>', {
        callback: (_error, { data }) => events.push(JSON.parse(Buffer.from(data).toString())),
      })
      const address = 'order/1'
      answers.push(await ask('troupe.main.admin.start', { address, input: { customer: 'ann' } }))
      answers.push(await ask('troupe.main.cmd.get', { address }))
      answers.push(await ask('troupe.main.actor.order.1', { type: 'NONSENSE' }))
      answers.push(await ask('$SRV.PING.troupe'))
      await until(() => events.length > 0, { timeoutMs: 20_000 }, 'an event')
      await client.close()
    }
    const { code, err } = await run(
      [
        'start',
        '--http',
        '0',
        '--nats',
        nats.url,
        '--name',
        'n1',
        '--cluster',
        'main',
        '--data',
        'n1',
      ],
      {
        cwd,
        apps: [shop],
        interrupt: interrupt.signal,
        onOut: (out) =>
          void (
            out.includes('Ctrl-C') &&
            talk()
              .catch((thrown: unknown) => answers.push(String(thrown)))
              .finally(() => interrupt.abort())
          ),
      },
    )
    expect(code, err).toBe(0)
    expect(answers).toMatchObject([
      { ok: { address: 'order/1', turn: 1 } },
      { ok: { machine: 'order', status: 'active' } },
      { error: { code: 'invalid-event' } },
      { name: 'troupe', id: 'main-n1' },
    ])
    expect(events).toMatchObject([{ kind: 'transition', address: 'order/1', cause: 'start' }])
  })
})
