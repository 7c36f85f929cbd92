/**
 * The `troupe` command. Decides: its verbs, and that every failure becomes a message on standard
 * error and an exit code; that only what a command line names is loaded, since most of the time that a
 * command takes is its start. Leaves to others: what the verbs do.
 */
import { delimiter } from 'node:path'
import { Command, CommanderError } from 'commander'
import type { App, LazyApp } from '../node/index.ts'
import { addAppVerbs, addLazyVerbs, placeholder } from './app-verbs.ts'
import { addAudit } from './audit-verb.ts'
import { EXIT, EXIT_HELP, exitCodeOf } from './exit-codes.ts'
import { describeFailure } from './session.ts'
import type { StartOptions } from './start.ts'
import { processTerminal, type Terminal } from './terminal.ts'
import { painter } from './text.ts'
import { type AddVerb, type LoadApps, type Outcome, verbAdder, withExamples } from './verbs.ts'
import { addWorker } from './worker.ts'

export interface CliOptions {
  /** The apps that ship with Troupe. */
  apps: readonly (App | LazyApp)[]
  /** Without the program and the script. */
  argv: readonly string[]
  terminal?: Terminal
}

/** Runs one command line. @returns the exit code; it never throws */
export async function runCli({
  apps,
  argv,
  terminal = processTerminal(),
}: CliOptions): Promise<number> {
  const outcome: Outcome = { code: EXIT.ok }
  try {
    const program = await programOf(apps, argv, terminal, outcome)
    await program.parseAsync([...argv], { from: 'user' })
    return outcome.code
  } catch (thrown) {
    // Commander has said what is wrong with the words; help is not a failure.
    if (thrown instanceof CommanderError) return thrown.exitCode === 0 ? EXIT.ok : EXIT.usage
    terminal.writeError(
      describeFailure(thrown, isJson(argv), painter(terminal, terminal.isErrorTty)),
    )
    return exitCodeOf(thrown)
  }
}

interface OwnVerbs {
  summary: string
  load: () => Promise<(group: Command, add: AddVerb, apps: LoadApps) => void>
}

/** By the word that they begin with. Most load what a node is made of, so only those that are meant. */
const OWN_VERBS: Readonly<Record<string, OwnVerbs>> = {
  actors: {
    summary: 'look at actors and operate them',
    load: async () => (await import('./actor-verbs.ts')).addActorVerbs,
  },
  machines: {
    summary: 'the machines that a node hosts',
    load: async () => (await import('./machine-verbs.ts')).addMachineVerbs,
  },
  cluster: {
    summary: 'the cluster that a node belongs to',
    load: async () => (await import('./cluster-verbs.ts')).addClusterVerbs,
  },
  store: {
    summary: "care for a node's data directory",
    load: async () => (await import('./store-verbs.ts')).addStoreVerbs,
  },
  config: {
    summary: 'the configuration of a node',
    load: async () => (await import('./config-verbs.ts')).addConfigVerbs,
  },
}

async function programOf(
  shipped: readonly (App | LazyApp)[],
  argv: readonly string[],
  terminal: Terminal,
  outcome: Outcome,
): Promise<Command> {
  const own = appFilesOf(argv, terminal.env)
  const users = await userAppsOf(own.files, own.source, terminal)
  const loadShipped: LoadApps = () =>
    Promise.all(shipped.map((app) => (isWhole(app) ? app : app.load())))
  const apps: LoadApps = async () => [...(await loadShipped()), ...users]
  const program = emptyProgram(terminal)
  addStart(program, loadShipped, own.files, terminal, outcome)
  addWorker(program, loadShipped, own.files, terminal, outcome)
  const add = verbAdder(terminal, outcome)
  const whole = [...shipped, ...users].filter(isWhole)
  // A verb that is there already is found only beside it.
  const said = new Set([...argv, ...whole.flatMap(wordsOf)])
  for (const [word, { summary, load }] of Object.entries(OWN_VERBS)) {
    const group = placeholder(program, word, summary)
    if (said.has(word)) (await load())(group, add, apps)
  }
  addAudit(program, 'troupe audit', add)
  for (const app of [...shipped, ...users]) {
    if (isWhole(app)) addAppVerbs(program, app, terminal, outcome)
    else await addLazyVerbs(program, app, said, terminal, outcome)
  }
  return program
}

function isWhole(app: App | LazyApp): app is App {
  return !('load' in app)
}

/** All words of its verbs. */
function wordsOf({ verbs = [] }: App): string[] {
  return verbs.flatMap(({ path }) => path)
}

async function userAppsOf(
  files: readonly string[],
  source: string,
  { cwd }: Terminal,
): Promise<readonly App[]> {
  if (files.length === 0) return []
  return (await import('./user-apps.ts')).loadUserApps(files, cwd, source)
}

function emptyProgram(terminal: Terminal): Command {
  return (
    new Command('troupe')
      .description(
        'Durable, distributed XState machines: start a node, look at its actors, operate them.',
      )
      .exitOverride()
      .configureOutput({
        writeOut: (text) => terminal.write(text),
        writeErr: (text) => terminal.writeError(text),
        getOutHasColors: () => false,
        getErrHasColors: () => false,
      })
      .showSuggestionAfterError()
      .showHelpAfterError('(see --help)')
      // Before the verb: behind it, `--app` is the verb's own.
      .enablePositionalOptions()
      .option(
        '--app <file>',
        `a module of your own apps, before the verb: it brings its verbs and, for start, its machines; again for more (or TROUPE_APP: files with "${delimiter}" between them)`,
      )
      .addHelpText('after', EXIT_HELP)
  )
}

/** Read before everything else, because verbs must be known before the words can be understood. */
function appFilesOf(
  argv: readonly string[],
  env: Terminal['env'],
): { files: readonly string[]; source: string } {
  const files: string[] = []
  for (let at = 0; at < argv.length && argv[at]?.startsWith('-') && argv[at] !== '--'; at++) {
    const [name, value] = argv[at]?.split(/=(.*)/s) ?? []
    if (name !== '--app') continue
    if (value === undefined) at += 1
    const file = value ?? argv[at]
    // Commander says what is missing.
    if (file !== undefined) files.push(file)
  }
  if (files.length > 0) return { files, source: '--app' }
  const named = env['TROUPE_APP']?.split(delimiter).filter((file) => file !== '')
  return { files: named ?? [], source: 'TROUPE_APP' }
}

function addStart(
  program: Command,
  shipped: LoadApps,
  appFiles: readonly string[],
  terminal: Terminal,
  outcome: Outcome,
): void {
  const command = program
    .command('start')
    .description('start a node here; it serves until Ctrl-C')
    .option('--data <dir>', 'where it keeps everything (.data)')
    .option('--http <host:port>', 'where it listens (127.0.0.1:9800); port 0 takes a free one')
    .option('--name <name>', "of this node (the host's name)")
    .option(
      '--config <file>',
      'a YAML file; flags win over it (config/troupe.yaml shows every setting)',
    )
    .option('--app <file...>', 'modules of your own machines, JavaScript or TypeScript')
    .option(
      '--nats <url>',
      'join the cluster on this NATS server; several with commas between them',
    )
    .option('--cluster <name>', 'of that cluster (troupe)')
    .option('--shards <count>', 'of data or of a cluster that is made now; fixed from then on (64)')
    .option('--replace', 'the data of the node that had this name is gone for good')
    .option('--log-level <level>', 'debug, info, warn, error or silent (info)')
    .option('--quiet', 'print where it listens and nothing else')
    .option('--json', 'print where it listens as JSON')
  withExamples(command, [
    'troupe start',
    'troupe start --data /var/lib/troupe --http 127.0.0.1:9801',
    'troupe start --app ./order.ts --config troupe.yaml',
    'troupe start --nats nats://10.0.0.1:4222 --cluster main --name n1',
  ])
  command.action(async () => {
    const options = command.opts<StartOptions>()
    const app = [...appFiles, ...(options.app ?? [])]
    const { start } = await import('./start.ts')
    outcome.code = await start(await shipped(), { ...options, app }, terminal)
  })
}

function isJson(argv: readonly string[]): boolean {
  const end = argv.indexOf('--')
  return (end < 0 ? argv : argv.slice(0, end)).includes('--json')
}
