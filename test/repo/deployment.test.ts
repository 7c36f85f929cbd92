/** What people start as it stands: the compose file, its image, and every ready configuration. */
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { describe, expect, it } from 'vitest'
import { parse } from 'yaml'
import { DEFAULT_CONFIG, parseConfig } from '../../src/protocol/index.ts'

const root = new URL('../../', import.meta.url)
const read = (path: string) => readFileSync(new URL(path, root), 'utf8')

interface Service {
  image?: string
  build?: string
  command: string[]
  volumes?: string[]
  ports?: string[]
  secrets?: string[]
  healthcheck?: object
  depends_on?: Record<string, { condition: string }>
}
interface Compose {
  services: Record<string, Service>
  volumes: Record<string, unknown>
  secrets: Record<string, unknown>
}

const compose = parse(read('docker-compose.yml'), { merge: true }) as Compose
const services = Object.entries(compose.services)
const named = (pattern: RegExp) => services.filter(([name]) => pattern.test(name))

describe('docker-compose.yml', () => {
  it('has three NATS servers, three nodes, a gateway and two workers', () => {
    expect(services.map(([name]) => name)).toEqual([
      ...['nats-1', 'nats-2', 'nats-3', 'n1', 'n2', 'n3', 'gateway', 'w1', 'w2'],
    ])
  })

  it('names volumes, secrets and services that there are', () => {
    for (const [name, { volumes = [], secrets = [], depends_on = {} }] of services) {
      for (const volume of volumes) {
        const source = volume.split(':')[0] ?? ''
        const isThere = source.startsWith('./')
          ? existsSync(new URL(source, root))
          : Object.hasOwn(compose.volumes, source)
        expect(isThere, `${name}: ${volume}`).toBe(true)
      }
      for (const secret of secrets) expect(Object.keys(compose.secrets), name).toContain(secret)
      for (const other of Object.keys(depends_on)) {
        expect(compose.services[other]?.healthcheck, `${name} waits for ${other}`).toBeDefined()
      }
    }
  })

  it('publishes nothing beyond this machine', () => {
    const ports = services.flatMap(([, service]) => service.ports ?? [])
    expect(ports.length).toBeGreaterThan(0)
    for (const port of ports) expect(port).toMatch(/^127\.0\.0\.1:/)
  })

  it('gives each of them a disk of its own', () => {
    const disks = services.flatMap(([, { volumes = [] }]) =>
      volumes.filter((v) => !v.startsWith('.')),
    )
    expect(new Set(disks).size).toBe(services.length)
  })

  it.each(named(/^(n\d|gateway)$/))('starts %s by a configuration that is there', (name, node) => {
    const [verb, ...flags] = node.command
    expect(verb).toBe('start')
    expect(flags[flags.indexOf('--name') + 1]).toBe(name)
    const path = flags[flags.indexOf('--config') + 1] ?? ''
    const config = parseConfig(read(path), path)
    expect(config.nats?.replicas).toBe(3)
    const servers = named(/^nats-/).map(([server]) => `nats://${server}:4222`)
    expect(config.nats?.servers).toEqual(servers)
    expect(config.nats?.weight ?? 1).toBe(name === 'gateway' ? 0 : 1)
    expect(config.http?.users?.length).toBe(1)
  })
})

describe('config/docker', () => {
  const users = read('config/nats/users.conf')

  it.each(named(/^w\d$/))('starts the worker %s as a user of the same cluster', (name, worker) => {
    const [verb, ...flags] = worker.command
    expect(verb).toBe('worker')
    expect(flags[flags.indexOf('--name') + 1]).toBe(name)
    const path = flags[flags.indexOf('--config') + 1] ?? ''
    const { nats, cluster, ...rest } = parseConfig(read(path), path)
    expect(Object.keys(rest)).toEqual(['apps'])
    const node = parseConfig(read('config/docker/node.yaml'), 'node.yaml')
    expect(nats).toMatchObject({ servers: node.nats?.servers, user: 'worker' })
    expect(cluster).toBe(node.cluster)
    expect(users).toContain(`"${nats?.inboxPrefix}.>"`)
    expect(users).toContain(`TROUPE_${cluster ?? DEFAULT_CONFIG.cluster}_TASKS`)
  })

  it('makes a secret for every user that NATS knows', () => {
    const [, made = ''] = /^# +for name in ([^;]+); do$/m.exec(read('docker-compose.yml')) ?? []
    const wanted = [...users.matchAll(/\$TROUPE_(\w+)_PASSWORD/g)].map(([, user]) => user)
    expect(made.toUpperCase().split(' ').sort()).toEqual(wanted.sort())
  })
})

describe('the image', () => {
  const lines = read('Dockerfile').split('\n')

  it('runs as nobody in particular', () => {
    const users = lines.filter((line) => line.startsWith('USER '))
    expect(users).toEqual(['USER node'])
  })

  it('is made of what the build needs, and of no secret', () => {
    const kept = read('.dockerignore').split('\n')
    const copied = lines
      .filter((line) => line.startsWith('COPY ') && !line.includes('--from='))
      .flatMap((line) => line.split(' ').slice(1, -1))
    for (const path of copied) expect(kept).toContain(`!${path}`)
    expect(kept.indexOf('config/secrets')).toBeGreaterThan(kept.indexOf('!config'))
    expect(read('.gitignore').split('\n')).toContain('config/secrets/')
  })
})

it.each(
  ['config', 'config/docker', 'config/sealing'].flatMap((folder) =>
    readdirSync(new URL(folder, root))
      .filter((name) => name.endsWith('.yaml'))
      .map((name) => `${folder}/${name}`),
  ),
)('%s is a configuration', (path) => {
  expect(() => parseConfig(read(path), path)).not.toThrow()
})
