/**
 * The `troupe` command. Decides: its verbs, and that every failure becomes a message on standard
 * error and an exit code. Leaves to others: what the verbs do.
 */
import { delimiter } from 'node:path'
import { Command, CommanderError } from 'commander'
import type { App } from '../node/index.ts'
import { addActorVerbs } from './actor-verbs.ts'
import { addAppVerbs } from './app-verbs.ts'
import { addClusterVerbs } from './cluster-verbs.ts'
import { addConfigVerbs } from './config-verbs.ts'
import { EXIT, EXIT_HELP, exitCodeOf } from './exit-codes.ts'
import { addMachineVerbs } from './machine-verbs.ts'
import { describeFailure } from './session.ts'
import { type StartOptions, start } from './start.ts'
import { addStoreVerbs } from './store-verbs.ts'
import { processTerminal, type Terminal } from './terminal.ts'
import { painter } from './text.ts'
import { loadUserApps } from './user-apps.ts'
import { type Outcome, verbAdder, withExamples } from './verbs.ts'
import { addWorker } from './worker.ts'

export interface CliOptions {
  /** The apps that ship with Troupe. */
  apps: readonly App[]
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

async function programOf(
  shipped: readonly App[],
  argv: readonly string[],
  terminal: Terminal,
  outcome: Outcome,
): Promise<Command> {
  const own = appFilesOf(argv, terminal.env)
  const apps = [...shipped, ...(await loadUserApps(own.files, terminal.cwd, own.source))]
  const program = new Command('troupe')
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
  addStart(program, shipped, own.files, terminal, outcome)
  addWorker(program, shipped, own.files, terminal, outcome)
  const add = verbAdder(terminal, outcome)
  addActorVerbs(program, add)
  addMachineVerbs(program, add, apps)
  addClusterVerbs(program, add)
  addStoreVerbs(program, add)
  addConfigVerbs(program, add, apps)
  addAppVerbs(program, apps, terminal, outcome)
  return program
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
  shipped: readonly App[],
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
    outcome.code = await start(shipped, { ...options, app }, terminal)
  })
}

function isJson(argv: readonly string[]): boolean {
  const end = argv.indexOf('--')
  return (end < 0 ? argv : argv.slice(0, end)).includes('--json')
}
