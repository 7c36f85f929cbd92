/**
 * Real nats-server processes for tests: on loopback, on ports of their own, with a store directory that
 * is removed in the end.
 *
 * Decides: how a server is configured, started, killed, frozen, cut off from its peers and started again
 * on the same ports and directory; when it is ready; how its store is kept and put back.
 * Leaves to others: what is asked of it.
 * `TROUPE_NATS_SERVER` names another binary than the one of the PATH, as a newer one.
 */
import { type ChildProcess, spawn, spawnSync } from 'node:child_process'
import { cpSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { delimiter, join } from 'node:path'
import { Link } from './cluster/processes/link.ts'
import { until } from './waiting.ts'

const BINARY = process.env['TROUPE_NATS_SERVER'] ?? 'nats-server'
/** Debian installs it where only an administrator's PATH looks. */
const PATH = [process.env['PATH'] ?? '', '/usr/sbin', '/usr/local/sbin'].join(delimiter)
const READY_MS = 15_000
const STOP_MS = 10_000
/** Somebody else may take a port between its choice and its use. */
const STARTS_MAX = 5

/** Put before a command: Linux ends it with the process that started it, also where that is killed without a word. */
export const TIED: readonly string[] =
  spawnSync('setpriv', ['--pdeathsig', 'KILL', 'true']).status === 0
    ? ['setpriv', '--pdeathsig', 'KILL']
    : []

/** Undefined when there is one; otherwise one line that says what to install. */
export const missingNatsServer: string | undefined = (() => {
  const found = spawnSync(BINARY, ['--version'], { env: { ...process.env, PATH } })
  if (found.status === 0) return undefined
  return `${BINARY} not found: apt-get install -y nats-server`
})()

export interface NatsServerOptions {
  /** True when absent. */
  jetstream?: boolean
  /** Lines in the server's own language, added to its configuration. */
  config?: string
  /** Variables of the environment that the lines name. */
  env?: Readonly<Record<string, string>>
}

export interface NatsClusterOptions extends NatsServerOptions {
  /** How many servers; three when absent. */
  servers?: number
  /** Clients know only the servers that they were told of, as behind proxies. False when absent. */
  isHidden?: boolean
  /** Whether servers are to be cut off from each other: their routes go through links then. */
  isCuttable?: boolean
}

/** Where a server listens: for clients, for questions about its health, for its peers. */
interface Ports {
  client: number
  monitor: number
  route: number
}

interface Member {
  name: string
  ports: Ports
  options: NatsClusterOptions
  /** Where it finds the others of its cluster; undefined when it stands alone. */
  routes: readonly number[] | undefined
  /** Whether those are the only ways to the others. */
  isCuttable?: boolean
}

export class NatsServer {
  readonly name: string
  readonly #member: Member
  readonly #directory = mkdtempSync(join(tmpdir(), 'troupe-nats-'))
  #process: ChildProcess | undefined
  #output = ''
  #isFrozen = false

  /** Use `startNatsServer`. */
  constructor(member: Member) {
    this.name = member.name
    this.#member = member
    writeFileSync(this.#configFile, configOf(member, this.#store))
  }

  get port(): number {
    return this.#member.ports.client
  }

  get url(): string {
    return `nats://127.0.0.1:${this.port}`
  }

  /** Of the process that runs now. */
  get pid(): number {
    const { pid } = this.#process ?? {}
    if (pid === undefined) throw new Error(`${this.name} does not run`)
    return pid
  }

  /** What it has written, of all its lives. */
  get log(): string {
    return this.#output
  }

  get isRunning(): boolean {
    return this.#process !== undefined
  }

  /** Starts it, again too: same ports, same directory. Ready once it takes clients. */
  async start(): Promise<void> {
    await this.launch()
    await this.ready()
  }

  /** Starts the process and waits until it listens. */
  async launch(): Promise<void> {
    this.#requireStopped()
    const [command, ...args] = [...TIED, BINARY, '-c', this.#configFile]
    const child = spawn(command!, args, {
      env: { ...process.env, ...this.#member.options.env, PATH },
      stdio: ['ignore', 'pipe', 'pipe'],
    })
    this.#process = child
    ALL.add(this)
    for (const stream of [child.stdout, child.stderr]) {
      stream.setEncoding('utf8').on('data', (text: string) => {
        this.#output += text
      })
    }
    child.on('exit', () => {
      if (this.#process === child) this.#process = undefined
    })
    child.on('error', (error) => {
      this.#output += `${error.message}\n`
    })
    const isUp = async () => {
      if (this.#process !== child) return true
      return (await this.#ask('/varz')) !== undefined
    }
    await until(isUp, { timeoutMs: READY_MS }, () => `${this.name} listens:\n${this.#output}`)
    if (this.#process !== child) throw new Error(`${this.name} ended:\n${this.#output}`)
  }

  /** Waits until JetStream, where it is on, knows its leader and has what it had. */
  async ready(): Promise<void> {
    await until(
      async () => (await this.#ask('/healthz')) === '{"status":"ok"}',
      { timeoutMs: READY_MS },
      () => `${this.name} is healthy:\n${this.#output}`,
    )
  }

  /** Whether it leads the cluster's JetStream and sees all others. */
  async leadsWholeCluster(): Promise<boolean> {
    const answer = JSON.parse((await this.#ask('/jsz')) ?? '{}') as JetStreamState
    const meta = answer.meta_cluster
    const others = meta?.replicas?.filter(({ current }) => current).length ?? 0
    return meta?.leader === this.name && others === (this.#member.routes?.length ?? 0)
  }

  /** As an administrator changes its users: other lines in place of those that it was started with. */
  async reload(config: string): Promise<void> {
    const already = this.#output.length
    writeFileSync(
      this.#configFile,
      configOf({ ...this.#member, options: { ...this.#member.options, config } }, this.#store),
    )
    this.#process?.kill('SIGHUP')
    const isReloaded = () => /Reloaded server configuration/.test(this.#output.slice(already))
    await until(isReloaded, { timeoutMs: STOP_MS, every: 5 }, () => `reload:\n${this.#output}`)
  }

  /** As an administrator stops it. */
  async stop(): Promise<void> {
    if (this.#isFrozen) this.thaw()
    await this.#end('SIGTERM')
  }

  /** As `kill -9`: it learns nothing of it. */
  async kill(): Promise<void> {
    await this.#end('SIGKILL')
  }

  /** It stands still; its connections stay open. */
  async freeze(): Promise<void> {
    const child = this.#process
    if (child === undefined) throw new Error(`${this.name} does not run`)
    child.kill('SIGSTOP')
    this.#isFrozen = true
    await until(() => isStopped(child.pid!), { timeoutMs: STOP_MS, every: 2 }, 'a frozen process')
  }

  thaw(): void {
    this.#process?.kill('SIGCONT')
    this.#isFrozen = false
  }

  /** Loses what is on its disk, as a new machine in the place of the old one would; it has to be stopped. */
  wipe(): void {
    this.#requireStopped()
    rmSync(this.#store, { recursive: true, force: true })
  }

  /** A copy of what is on its disk; it has to be stopped. */
  copyStore(to: string): void {
    this.#requireStopped()
    cpSync(this.#store, to, { recursive: true })
  }

  /** As an administrator brings a backup back: what came after it is gone. It has to be stopped. */
  replaceStore(by: string): void {
    this.wipe()
    cpSync(by, this.#store, { recursive: true })
  }

  /** Ends it and removes its directory. */
  async close(): Promise<void> {
    await this.kill()
    this.remove()
  }

  /** Without waiting for anything. */
  remove(): void {
    this.#process?.kill('SIGKILL')
    ALL.delete(this)
    rmSync(this.#directory, { recursive: true, force: true })
  }

  get #store(): string {
    return join(this.#directory, 'store')
  }

  #requireStopped(): void {
    if (this.#process !== undefined) throw new Error(`${this.name} is running`)
  }

  get #configFile(): string {
    return join(this.#directory, 'nats.conf')
  }

  async #end(signal: 'SIGTERM' | 'SIGKILL'): Promise<void> {
    const child = this.#process
    if (child === undefined) return
    child.kill(signal)
    this.#isFrozen = false
    await until(
      () => this.#process !== child,
      { timeoutMs: STOP_MS, every: 2 },
      `the end of ${this.name}`,
    )
  }

  async #ask(path: string): Promise<string | undefined> {
    const url = `http://127.0.0.1:${this.#member.ports.monitor}${path}`
    try {
      return await (await fetch(url, { signal: AbortSignal.timeout(1_000) })).text()
    } catch {
      return undefined
    }
  }
}

interface JetStreamState {
  meta_cluster?: { leader?: string; replicas?: { current: boolean }[] }
}

/** Servers that joined each other, or one that stands alone; any of them takes clients. */
export class NatsCluster {
  readonly servers: readonly NatsServer[]
  readonly #links: readonly RouteLink[]

  constructor(servers: readonly NatsServer[], links: readonly RouteLink[] = []) {
    this.servers = servers
    this.#links = links
  }

  get urls(): string[] {
    return this.servers.map(({ url }) => url)
  }

  server(name: string): NatsServer {
    const found = this.servers.find((server) => server.name === name)
    if (found === undefined) throw new Error(`there is no server ${name}`)
    return found
  }

  /** Starts those that do not run, and waits until all of them have a leader and each other. */
  async start(): Promise<void> {
    const stopped = this.servers.filter(({ isRunning }) => !isRunning)
    await Promise.all(stopped.map((server) => server.launch()))
    await this.ready()
  }

  async ready(): Promise<void> {
    await Promise.all(this.servers.map((server) => server.ready()))
    if (this.servers.length === 1) return
    const isWhole = async () => {
      const leads = await Promise.all(this.servers.map((server) => server.leadsWholeCluster()))
      return leads.includes(true)
    }
    await until(isWhole, { timeoutMs: READY_MS }, 'a leader that sees all servers')
  }

  /** It sees none of the others any more, nor they it; clients see all. */
  cutOff(server: NatsServer): void {
    for (const link of this.#linksOf(server)) link.refuse()
  }

  heal(server: NatsServer): void {
    for (const link of this.#linksOf(server)) link.heal()
  }

  async kill(): Promise<void> {
    await Promise.all(this.servers.map((server) => server.kill()))
  }

  async close(): Promise<void> {
    await Promise.all(this.servers.map((server) => server.close()))
    await Promise.all(this.#links.map(({ link }) => link.close()))
  }

  #linksOf({ name }: NatsServer): Link[] {
    const links = this.#links.filter(({ from, to }) => from === name || to === name)
    if (links.length === 0) throw new Error('this cluster was not started as one that is cuttable')
    return links.map(({ link }) => link)
  }
}

/** One server's way to another. */
interface RouteLink {
  from: string
  to: string
  link: Link
}

/** A server that stands alone. Whoever starts it closes it. */
export async function startNatsServer(options: NatsServerOptions = {}): Promise<NatsServer> {
  const { servers } = await startTogether(1, async ([ports]) => {
    const member = { name: 'n1', ports: ports!, options, routes: undefined }
    return new NatsCluster([new NatsServer(member)])
  })
  await servers[0]!.ready()
  return servers[0]!
}

/** Servers `n1`, `n2`, … of one cluster. Whoever starts it closes it. */
export async function startNatsCluster(options: NatsClusterOptions = {}): Promise<NatsCluster> {
  const { jetstream = true, isCuttable = false, servers = 3 } = options
  const cluster = await startTogether(servers, async (ports) => {
    const links = isCuttable ? await routeLinks(ports) : []
    const members = ports.map((own, at) => {
      const name = nameAt(at)
      const direct = ports.filter((other) => other !== own).map(({ route }) => route)
      const linked = links.filter(({ from }) => from === name).map(({ link }) => link.port)
      return { name, ports: own, options, routes: isCuttable ? linked : direct, isCuttable }
    })
    return new NatsCluster(
      members.map((member) => new NatsServer(member)),
      links,
    )
  })
  if (jetstream) await cluster.ready()
  return cluster
}

function nameAt(at: number): string {
  return `n${at + 1}`
}

function routeLinks(ports: readonly Ports[]): Promise<RouteLink[]> {
  const pairs = ports.flatMap((_, from) =>
    ports.flatMap((target, to) => (from === to ? [] : [{ from, to, port: target.route }])),
  )
  return Promise.all(
    pairs.map(async ({ from, to, port }) => {
      return { from: nameAt(from), to: nameAt(to), link: await Link.open({ port }) }
    }),
  )
}

/** Chooses ports and starts servers on them; others when somebody took one meanwhile. */
async function startTogether(
  count: number,
  build: (ports: Ports[]) => Promise<NatsCluster>,
): Promise<NatsCluster> {
  for (let start = 1; ; start++) {
    const free = await freePorts(3 * count)
    const ports = Array.from({ length: count }, (_, at) => ({
      client: free[3 * at]!,
      monitor: free[3 * at + 1]!,
      route: free[3 * at + 2]!,
    }))
    const cluster = await build(ports)
    const { servers } = cluster
    try {
      await Promise.all(servers.map((server) => server.launch()))
      return cluster
    } catch (error) {
      const wasTaken = servers.some(({ log }) => log.includes('address already in use'))
      await cluster.close()
      if (!wasTaken || start === STARTS_MAX) throw error
    }
  }
}

/** Held all at once, so that no port comes twice. */
async function freePorts(count: number): Promise<number[]> {
  const holders = await Promise.all(
    Array.from(
      { length: count },
      () =>
        new Promise<ReturnType<typeof createServer>>((resolve, reject) => {
          const holder = createServer().once('error', reject)
          holder.listen(0, '127.0.0.1', () => resolve(holder))
        }),
    ),
  )
  const ports = holders.map((holder) => (holder.address() as { port: number }).port)
  await Promise.all(
    holders.map((holder) => new Promise<void>((resolve) => holder.close(() => resolve()))),
  )
  return ports
}

/** Undefined when a whole configuration is one that the server takes; otherwise what it says. */
export function configProblem(file: string, env: Readonly<Record<string, string>>) {
  const args = ['-t', '-c', file]
  const found = spawnSync(BINARY, args, { env: { ...process.env, ...env, PATH }, encoding: 'utf8' })
  return found.status === 0 ? undefined : found.stderr
}

function configOf({ name, ports, options, routes, isCuttable }: Member, store: string): string {
  const { jetstream = true, config = '', isHidden = false } = options
  const lines = [
    `server_name: ${name}`,
    `listen: "127.0.0.1:${ports.client}"`,
    `http: "127.0.0.1:${ports.monitor}"`,
    jetstream ? `jetstream { store_dir: ${JSON.stringify(store)}, max_file_store: 4GB }` : '',
  ]
  if (routes !== undefined) {
    const urls = routes.map((port) => `"nats-route://127.0.0.1:${port}"`)
    const others = `routes: [${urls.join(', ')}], no_advertise: ${isHidden}`
    // Servers tell each other where they are, and would find a way past a link.
    const advertise = isCuttable ? ', advertise: "127.0.0.1:1"' : ''
    lines.push(`cluster { name: C, listen: "127.0.0.1:${ports.route}", ${others}${advertise} }`)
  }
  return [...lines, config, ''].join('\n')
}

/** A signal takes effect a moment after it was sent. */
function isStopped(pid: number): boolean {
  const { stdout } = spawnSync('ps', ['-o', 'state=', '-p', String(pid)], { encoding: 'utf8' })
  return stdout.startsWith('T')
}

/** Nothing outlives its test, however that ended. */
const ALL = new Set<NatsServer>()
process.on('exit', () => {
  for (const server of ALL) server.remove()
})
