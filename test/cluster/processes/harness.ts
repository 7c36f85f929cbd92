/**
 * A cluster of real processes on real nats-servers, and what can befall it.
 *
 *     const cluster = await Processes.open({ nodes: ['n1', 'n2', 'n3'] })      // nothing of Troupe runs yet
 *     await cluster.startAll()                                                 // and settle
 *     const notes = await cluster.notes({ library: 2, json: 2 })               // clients that write all the time
 *     await notes.more(100)                                                    // 100 more were acknowledged
 *     await cluster.node('n2').kill()            // kill -9; stop() hands over first
 *     await cluster.node('n1').freeze()          // SIGSTOP; thaw()
 *     cluster.node('n3').cut('to-server')        // or 'to-node', 'both'; a second word 'swallow'; heal()
 *     await cluster.nats.server('n1').kill()     // one nats-server of three (`natsServers: 3`); start()
 *     await cluster.restartNats('kill', () => …) // all of them; meanwhile copyStore(), replaceStore(), wipe()
 *     await cluster.settled()                    // those that are up: all known, all served by who is named
 *     await cluster.until(() => …, 'what is waited for')      // says at the deadline how every node stands
 *     expect(await notes.findings()).toEqual([]) // what was acknowledged is there, once; ends the clients
 *     await cluster.close()
 *
 * A new node is `cluster.add('n4')` and `start()`. For all checkers of the simulator instead of that of
 * `notes` see `checked.ts`.
 *
 * Decides: what a cluster consists of, that each node has links of its own to every nats-server, and what
 * is said when a wait is in vain. Leaves to others: nodes (node.ts), links (link.ts), clients (notes.ts),
 * what is asked and judged.
 */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { ClusterReport } from '../../../src/node/index.ts'
import { NatsCluster, startNatsCluster, startNatsServer } from '../../nats-server.ts'
import { until } from '../../waiting.ts'
import type { Loss } from './gather.ts'
import { JournalReader } from './journal-reader.ts'
import { Link, type Rewrite } from './link.ts'
import { monotonicMs } from './monotonic.ts'
import { ClusterNodeProcess } from './node.ts'
import { type ClusterSettings, DEFAULT_SETTINGS } from './node-settings.ts'
import { Notes, type NotesOptions } from './notes.ts'
import { ProgramConnection } from './programs.ts'

export interface ProcessesOptions {
  nodes: readonly string[]
  /** One when absent; three keep three replicas of everything. */
  natsServers?: 1 | 3
  settings?: Partial<ClusterSettings>
  /** Of what nodes send to NATS: for tests that take a rule away. */
  rewrite?: () => Rewrite
}

/** A machine that runs tests may be busy with others. */
export const PATIENCE_MS = 40_000
const LOOK_MS = 50

export class Processes {
  readonly nats: NatsCluster
  readonly directory = mkdtempSync(join(tmpdir(), 'troupe-processes-'))
  readonly settings: ClusterSettings
  readonly #nodes = new Map<string, ClusterNodeProcess>()
  readonly #rewrite: (() => Rewrite) | undefined
  readonly #programs: ProgramConnection[] = []
  /** Where journals ended each time that NATS had come back. */
  readonly losses: Loss[] = []
  #reader: JournalReader | undefined

  private constructor(nats: NatsCluster, { settings, rewrite }: ProcessesOptions) {
    this.nats = nats
    const replicas = nats.servers.length === 3 ? 3 : 1
    this.settings = { ...DEFAULT_SETTINGS, replicas, ...settings }
    this.#rewrite = rewrite
  }

  static async open(options: ProcessesOptions): Promise<Processes> {
    const { natsServers = 1, nodes } = options
    const nats =
      natsServers === 1
        ? new NatsCluster([await startNatsServer()])
        : await startNatsCluster({ servers: natsServers, isHidden: true })
    const processes = new Processes(nats, options)
    for (const name of nodes) await processes.add(name)
    return processes
  }

  get nodes(): ClusterNodeProcess[] {
    return [...this.#nodes.values()]
  }

  /** Those that run and can answer. */
  get up(): ClusterNodeProcess[] {
    return this.nodes.filter(({ state }) => state === 'up')
  }

  node(name: string): ClusterNodeProcess {
    const node = this.#nodes.get(name)
    if (!node) throw new Error(`there is no ${name}`)
    return node
  }

  /** One that is not started yet. */
  async add(name: string): Promise<ClusterNodeProcess> {
    const links = await Promise.all(
      this.nats.servers.map(({ port }) => Link.open({ port, rewrite: this.#rewrite })),
    )
    const directory = join(this.directory, name)
    const node = new ClusterNodeProcess({ name, directory, links, settings: this.settings })
    this.#nodes.set(name, node)
    return node
  }

  /** All at once, as machines that are switched on. */
  async startAll(): Promise<ClusterReport> {
    const down = this.nodes.filter(({ state }) => state === 'down')
    await Promise.all(down.map((node) => node.start()))
    return this.settled()
  }

  /** Everybody who is up is known to all who are, and every shard is served by who is named for it, alone. */
  async settled(patienceMs = PATIENCE_MS): Promise<ClusterReport> {
    const { up } = this
    const names = up.map(({ name }) => name).sort()
    let last: ClusterReport | undefined
    const isSettled = async () => {
      const reports = await Promise.all(up.map((node) => node.report()))
      last = reports[0]
      return reports.every(
        ({ nodes, shards }) =>
          nodes.map(({ name }) => name).join() === names.join() &&
          shards.every(({ owner, servedBy }) => servedBy.join() === owner),
      )
    }
    await this.until(isSettled, `${names.join()} settle`, patienceMs)
    return last!
  }

  /** At the deadline it is said how every node stands. */
  until<T>(
    condition: () => T | Promise<T>,
    what: string | (() => string),
    timeoutMs = PATIENCE_MS,
    every = LOOK_MS,
  ): Promise<NonNullable<T>> {
    return until(
      condition,
      { timeoutMs, every },
      async () => `${typeof what === 'string' ? what : what()}\n${await this.diagnosis()}`,
    )
  }

  /** What each node says of the cluster, and its last words in its log. */
  async diagnosis(): Promise<string> {
    const parts = await Promise.all(
      this.nodes.map(async (node) => {
        const said = node.state === 'up' ? await inWords(node) : ''
        return `${node.account()}${said}`
      }),
    )
    const servers = this.nats.servers.map(
      ({ name, isRunning }) => `nats-server ${name} ${isRunning ? 'runs' : 'is down'}`,
    )
    return [...parts, ...servers].join('\n')
  }

  /** Whoever owns a shard, as the nodes that are up have it. */
  async ownerOf(shard: number): Promise<ClusterNodeProcess> {
    const { shards } = await this.up[0]!.report()
    return this.node(shards[shard]?.owner ?? '')
  }

  /** A program's own connection to NATS, without a link: what befalls nodes does not befall it. */
  async program(name: string): Promise<ProgramConnection> {
    const { cluster, shards } = this.settings
    const servers = this.nats.urls
    const program = await ProgramConnection.open({ name, servers, cluster, shards })
    this.#programs.push(program)
    return program
  }

  /** What stands in the journals. */
  async journals(): Promise<JournalReader> {
    const { cluster, shards } = this.settings
    this.#reader ??= new JournalReader((await this.program('reader')).nats, cluster, shards)
    return this.#reader
  }

  /**
   * All nats-servers end and begin again; no node sees them before it was noted where the journals end.
   * `meanwhile` happens between the two, as to their stores.
   */
  async restartNats(how: 'stop' | 'kill', meanwhile: () => void = () => {}): Promise<void> {
    const journals = await this.journals()
    const links = this.nodes.flatMap((node) => node.links)
    for (const link of links) link.refuse()
    await Promise.all(this.nats.servers.map((server) => server[how]()))
    meanwhile()
    await this.nats.start()
    const ends = await this.until(() => journals.ends(), 'the ends of the journals')
    journals.forget()
    this.losses.push({ at: monotonicMs(), ends })
    for (const link of links) link.heal()
  }

  async notes(options: NotesOptions): Promise<Notes> {
    return Notes.begin(await this.program('notes'), options)
  }

  /** Everything ends at once, and its files are removed. */
  async close(): Promise<void> {
    await Promise.all(this.#programs.map((program) => program.close()))
    await Promise.all(this.nodes.map((node) => node.kill()))
    await Promise.all(this.nodes.flatMap(({ links }) => links.map((link) => link.close())))
    await this.nats.close()
    rmSync(this.directory, { recursive: true, force: true })
  }
}

async function inWords(node: ClusterNodeProcess): Promise<string> {
  try {
    const { leader, view, nodes, shards } = await node.report()
    const heard = nodes.filter(({ isHeard }) => isHeard).map(({ name }) => name)
    const unserved = shards
      .filter(({ owner, servedBy }) => servedBy.join() !== owner)
      .map(
        ({ shard, owner, servedBy, waitsFor }) =>
          `${shard} of ${owner} by [${servedBy}]${waitsFor.length > 0 ? ` waits for ${waitsFor}` : ''}`,
      )
    const lines = [
      `says: ${leader?.name ?? 'nobody'} leads, view ${view?.leaderEpoch}.${view?.version}`,
      `hears ${heard.join(', ')}`,
      `not served as named: ${unserved.join('; ') || 'none'}`,
    ]
    return `\n    ${lines.join('; ')}`
  } catch (thrown) {
    return `\n    does not answer: ${String(thrown)}`
  }
}
