/** Who serves which path: two apps that want the same one, and paths that stand at an app's own address only. */
import { afterEach, describe, expect, it } from 'vitest'
import { z } from 'zod'
import { type App, type AppRoute, defineApp, openLog } from '../../src/node/index.ts'
import { call, type Rig, startRig } from './rig.ts'

const PATHS = ['/task/list', '/health', '/troupe/v1/actors'] as const

let rig: Rig | undefined
afterEach(async () => {
  await rig?.close()
  rig = undefined
})

function appOf(name: string, ...routes: Omit<AppRoute, 'handle'>[]): App {
  const handle: AppRoute['handle'] = async () => ({ body: { by: name } })
  return defineApp({ name, routes: () => routes.map((route) => ({ ...route, handle })) })
}
const list = { method: 'GET', path: '/task/list' } as const
const get = async (url: string, path: string) => (await call(url, 'GET', path)).body

describe('two apps with one path', () => {
  it.each<[string, App[], RegExp]>([
    [
      'both at the main address',
      [appOf('cube', list), appOf('dkron', list)],
      /apps cube and dkron both claim the route GET \/task\/list: change one of them, or have it stand at listeners of its app only \(listenerOnly\)/,
    ],
    [
      'with other names of parameters, and a slash',
      [
        appOf('cube', { method: 'GET', path: '/task/:id' }),
        appOf('dkron', { method: 'GET', path: '/task/:name/' }),
      ],
      /apps cube and dkron both claim the route GET \/task\/:name\//,
    ],
    [
      'one app, twice',
      [appOf('cube', list, { ...list, listenerOnly: true })],
      /app cube claims the route GET \/task\/list twice: change one of them/,
    ],
    [
      "the gateway's own",
      [appOf('cube', { method: 'GET', path: '/health' })],
      /app cube claims the route GET \/health: \/health belongs to the gateway; have it stand at/,
    ],
    [
      'one method of JSON-RPC',
      ['cube', 'dkron'].map((name) =>
        defineApp({
          name,
          methods: () => [{ name: 'ask', params: z.unknown(), handle: async () => 1 }],
        }),
      ),
      /apps cube and dkron both claim the JSON-RPC method ask: change one of them/,
    ],
  ])('are refused, by both names: %s', async (_what, apps, message) => {
    await expect(startRig({ apps })).rejects.toThrow(message)
  })

  it('have it at addresses of their own', async () => {
    const own = PATHS.map((path) => ({ method: 'GET', path, listenerOnly: true }) as const)
    const apps = [appOf('cube', list), appOf('dkron', ...own), appOf('venus', ...own)]
    const listeners = [
      { app: 'dkron', port: 0 },
      { app: 'venus', port: 0 },
    ]
    rig = await startRig({ apps, gateway: { listeners } })
    const { gateway } = rig
    for (const { app, url } of gateway.listeners) {
      for (const path of PATHS) expect(await get(url, path)).toEqual({ by: app })
    }
    expect(await get(gateway.url, '/task/list')).toEqual({ by: 'cube' })
    expect(await get(gateway.url, '/health')).toMatchObject({ status: 'up' })
    expect(await get(gateway.url, '/troupe/v1/actors')).toMatchObject({ rows: [] })
    // It says what stands at the main address.
    const document = await get(gateway.url, '/troupe/v1/openapi.json')
    expect(document.paths['/task/list'].get.tags).toEqual(['cube'])
    expect(document.paths['/troupe/v1/actors'].get.tags).toBeUndefined()
  })

  it('is told in the log where no listener is configured for it', async () => {
    const lines: { msg: string }[] = []
    const write = (line: string) => void lines.push(JSON.parse(line))
    const log = openLog({ level: 'warn', destination: { write } })
    const apps = [appOf('cube', list), appOf('dkron', { ...list, listenerOnly: true })]
    rig = await startRig({ apps, gateway: { log } })
    expect(await get(rig.gateway.url, '/task/list')).toEqual({ by: 'cube' })
    expect(lines).toEqual([
      expect.objectContaining({
        ...{ app: 'dkron', paths: ['/task/list'] },
        msg: 'these stand at a listener of the app only, and none is configured',
      }),
    ])
  })
})
