/**
 * `troupe start`: a node and its gateway, until it is told to stop or stops by itself. Decides: the
 * order of start and stop, how its log looks, and what a person sees first.
 */
import { basename, relative } from 'node:path'
import { checkListeners, createGateway, type Gateway } from '../gateway/index.ts'
import {
  type App,
  createNode,
  type GreetingPlace,
  keepHeapSmall,
  openLog,
  type TroupeNode,
} from '../node/index.ts'
import { toJson } from '../protocol/index.ts'
import { EXIT, signalExitCode } from './exit-codes.ts'
import { readableLog } from './log-lines.ts'
import { URL_DEFAULT } from './node-api.ts'
import { ProgressBar } from './progress.ts'
import { reload } from './reload.ts'
import { type Settings, type StartFlags, settingsOf } from './settings.ts'
import type { Terminal } from './terminal.ts'
import { painter } from './text.ts'
import { loadUserApps } from './user-apps.ts'

export interface StartOptions extends StartFlags {
  app?: string[]
  json?: boolean
  quiet?: boolean
}

/** Resolves with the exit code once everything is closed. @throws TroupeError, UsageError */
export async function start(
  shipped: readonly App[],
  options: StartOptions,
  terminal: Terminal,
): Promise<number> {
  const settings = settingsOf(options, terminal.cwd)
  if (settings.heap === 'small') keepHeapSmall()
  try {
    return await serve(shipped, settings, options, terminal)
  } catch (thrown) {
    throw settings.locate(thrown)
  }
}

async function serve(
  shipped: readonly App[],
  settings: Settings,
  options: StartOptions,
  terminal: Terminal,
): Promise<number> {
  // Before anything is opened: this mistake must not cost a start.
  await checkListeners(settings)
  const apps = [...shipped, ...(await loadUserApps(options.app ?? [], terminal.cwd))]
  const log = openLog({
    level: settings.logLevel,
    ...(terminal.isErrorTty ? { destination: readableLog(terminal) } : {}),
  })
  const stop = stopRequest(terminal)
  const bar = new ProgressBar(terminal, !options.json && !options.quiet)
  let node: TroupeNode | undefined
  let gateway: Gateway | undefined
  const forgetReload = terminal.onSignal(
    (signal) => {
      // What the shell of a closed terminal sends; from elsewhere it asks for a reload.
      if (terminal.hasHungUp?.()) stop.ask(signal)
      else if (gateway) void reload(gateway, settings, options, terminal, log)
    },
    ['SIGHUP'],
  )
  try {
    node = await createNode({
      dataDirectory: settings.data,
      name: settings.name,
      cluster: settings.cluster,
      apps,
      limits: settings.limits,
      ...(settings.shards !== undefined && { shardCount: settings.shards }),
      worker: settings.worker,
      config: settings.apps,
      ...(settings.nats && { nats: settings.nats }),
      signal: stop.signal,
      progress: bar.update,
      log,
    })
    bar.end()
    const { host, port, users, tls, trustedProxies, listeners } = settings
    gateway = await createGateway({
      ...{ node, host, port, users, trustedProxies, listeners, log },
      ...(tls ? { tls } : {}),
    })
    await greet(node, gateway, settings, options, terminal)
    const ended = await Promise.race([stop.requested, node.stopped.then((why) => ({ why }))])
    if ('signal' in ended) {
      log.info({ signal: ended.signal }, 'stopping; a second signal ends at once')
      // Whoever asks this node is answered until others have what it serves.
      await node.handOver()
      return EXIT.ok
    }
    terminal.writeError(`error: the node stopped by itself: ${ended.why}\n`)
    // Nobody is left to answer what is under way.
    await gateway.close({ graceMs: 0 })
    return EXIT.failed
  } catch (thrown) {
    // Whoever stops a node that waits for its cluster is told of nothing that went wrong.
    if (node === undefined && stop.signal.aborted) return EXIT.ok
    throw thrown
  } finally {
    bar.end()
    await gateway?.close()
    await node?.stop()
    stop.forget()
    forgetReload()
  }
}

interface StopRequest {
  requested: Promise<{ signal: string }>
  /** Aborted once it is requested: a start that waits for others ends. */
  signal: AbortSignal
  /** As a signal does: the first asks, the second ends at once. */
  ask: (signal: string) => void
  forget: () => void
}

function stopRequest(terminal: Terminal): StopRequest {
  let isSecond = false
  const stopping = new AbortController()
  let tell = (_asked: { signal: string }) => {}
  const requested = new Promise<{ signal: string }>((resolve) => {
    tell = resolve
  })
  const ask = (signal: string) => {
    if (isSecond) terminal.exit(signalExitCode(signal))
    isSecond = true
    stopping.abort()
    tell({ signal })
  }
  return { requested, signal: stopping.signal, ask, forget: terminal.onSignal(ask) }
}

async function greet(
  node: TroupeNode,
  gateway: Gateway,
  settings: Settings,
  options: StartOptions,
  terminal: Terminal,
): Promise<void> {
  if (options.json) {
    terminal.write(`${toJson({ url: gateway.url, name: node.name, data: settings.data })}\n`)
    return
  }
  const paint = painter(terminal)
  const isDefault = gateway.url === URL_DEFAULT
  const lines = [`${paint('bold', 'troupe')} listens on ${paint('green', gateway.url)}`]
  if (!options.quiet) {
    const near = relative(terminal.cwd, settings.data)
    const machines = [...node.machines.keys()].join(', ') || 'none yet: troupe start --app FILE'
    lines.push(
      ...gateway.listeners.map(({ app, url }) => `  ${app.padEnd(9)} ${url}`),
      `  node      ${node.name}`,
      ...placeOf(node),
      `  data      ${near === '' || near.startsWith('..') ? settings.data : near}`,
      `  machines  ${machines}`,
      '',
      'See what is there, from another terminal:',
      ...aliasOf(terminal),
      ...(isDefault ? [] : [`  export TROUPE_HTTP=${gateway.url}`]),
      ...(settings.tls === undefined
        ? []
        : ['  export TROUPE_CA=FILE   # who signed the certificate, unless your system knows it']),
      ...(settings.users.length === 0
        ? []
        : ['  export TROUPE_TOKEN_FILE=FILE   # one that holds your token: users are configured']),
      '  troupe actors list',
      '  troupe machines list',
      ...(await greetings(node, { url: gateway.url, isTerminal: terminal.isTty })),
      '',
      'Ctrl-C stops it; what was acknowledged is on disk.',
    )
  }
  terminal.write(`${lines.join('\n')}\n`)
}

/** What it has of the cluster that it has joined. */
function placeOf({ membership, name, cluster }: TroupeNode): string[] {
  if (!membership) return []
  const { leader, nodes, shards } = membership.status()
  const owned = shards.filter(({ owner }) => owner === name).length
  const who = nodes.map((one) => one.name).join(', ')
  return [
    `  cluster   ${cluster}: ${who}; leader ${leader?.name ?? 'not known yet'}, ${owned} of ${shards.length} shards owned here`,
  ]
}

/** A program that was not installed has no name in another terminal. */
function aliasOf({ script }: Terminal): string[] {
  const isNamed = script === undefined || basename(script) === 'troupe'
  // What would need quotes inside of quotes is left to whoever chose that path.
  return isNamed || !/^[\w@%+:,./-]+\.js$/.test(script) ? [] : [`  alias troupe="node ${script}"`]
}

async function greetings(node: TroupeNode, place: GreetingPlace): Promise<string[]> {
  const lines: string[] = []
  for (const { app, context } of node.apps) {
    try {
      const said = (await app.greeting?.(context, place)) ?? []
      if (said.length > 0) lines.push('', ...said)
    } catch (error) {
      // A node serves without its greeting.
      node.log.warn({ app: app.name, err: error }, 'the greeting of an app failed')
    }
  }
  return lines
}
