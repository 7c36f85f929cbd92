/**
 * How verbs are declared and run. Decides: the options that every verb has, where its examples
 * stand, and what its end means for the exit code.
 */
import type { Command } from 'commander'
import type { App } from '../node/index.ts'
import { TroupeError } from '../protocol/light.ts'
import { EXIT } from './exit-codes.ts'
import { Session, type SessionOptions } from './session.ts'
import type { Terminal } from './terminal.ts'

export type Flags = Readonly<Record<string, unknown>>

/** What the command line ends with. */
export interface Outcome {
  code: number
}

interface VerbSpec {
  options?: readonly (readonly [flags: string, description: string])[]
  examples?: readonly string[]
  /** It works on files here: there is no node to name. */
  local?: boolean
  /** Resolves with the exit code, or with nothing for 0. */
  run: (
    session: Session,
    words: readonly (string | undefined)[],
    flags: Flags,
  ) => Promise<void> | Promise<number>
}

/** All that ships; loaded when it is asked for. */
export type LoadApps = () => Promise<readonly App[]>

/** Adds a verb below a command: its name and arguments, its summary, what it does. */
export type AddVerb = (parent: Command, usage: string, summary: string, spec: VerbSpec) => void

export function verbAdder(terminal: Terminal, outcome: Outcome): AddVerb {
  return (parent, usage, summary, { options = [], examples, local = false, run }) => {
    const command = parent.command(usage).description(summary)
    for (const [flags, description] of options) command.option(flags, description)
    if (local) withExamples(command.option(...JSON_OPTION), examples)
    else withCommonOptions(command, examples)
    command.action(() => {
      const { json = false, ...rest } = command.opts<SessionOptions>()
      // Of a verb that names no node these words mean something of its own.
      const options = { json, ...(local ? {} : rest) }
      return inSession(options, terminal, outcome, (session) =>
        run(session, command.args, command.opts<Flags>()),
      )
    })
  }
}

/**
 * Runs a verb in a session of its own. A verb that was interrupted has nothing more to say, unless it
 * `serves`: then a signal is how it ends, and what it says of its end counts.
 */
export async function inSession(
  options: SessionOptions,
  terminal: Terminal,
  outcome: Outcome,
  run: (session: Session) => Promise<void> | Promise<number>,
  serves = false,
): Promise<void> {
  const session = await Session.open(options, terminal)
  const interruptCode = () => (serves ? undefined : session.interruptCode)
  try {
    const returned: unknown = await run(session)
    outcome.code = interruptCode() ?? exitCodeReturned(returned)
  } catch (thrown) {
    const code = interruptCode()
    if (code === undefined) throw thrown
    outcome.code = code
  } finally {
    await session.close()
  }
}

/** Apps may be written in JavaScript, and a shell would take the number modulo 256. */
function exitCodeReturned(returned: unknown): number {
  if (returned === undefined) return EXIT.ok
  const isCode = Number.isInteger(returned) && Number(returned) >= 0 && Number(returned) <= 255
  if (isCode) return Number(returned)
  throw new TroupeError(
    'internal',
    `the verb returned ${String(returned)}; an exit code is a whole number from 0 to 255`,
  )
}

const JSON_OPTION = ['--json', 'one JSON value instead of text'] as const

export function withCommonOptions(command: Command, examples: readonly string[] = []): void {
  command
    .option('--http <url>', 'the node to talk to (or TROUPE_HTTP; http://127.0.0.1:9800)')
    .option(
      '--token <token>',
      'who you are, where users are configured (or TROUPE_TOKEN, TROUPE_TOKEN_FILE)',
    )
    .option(
      '--ca <file>',
      "who signed the certificate of an https node, or of NATS (or TROUPE_CA; your system's)",
    )
    .option('--nats <urls>', 'instead of a node: any of a cluster, over NATS (or TROUPE_NATS)')
    .option('--cluster <name>', 'of that cluster (or TROUPE_CLUSTER; troupe)')
    .option('--user <name>', 'of NATS (or TROUPE_NATS_USER; TROUPE_NATS_PASSWORD_FILE)')
    .option('--creds <file>', 'of a user of NATS, as nsc writes it (or TROUPE_NATS_CREDS)')
    .option(...JSON_OPTION)
    .option('--timeout <duration>', 'how long the node may take: 500ms, 10s, 2m')
  withExamples(command, examples)
}

export function withExamples(command: Command, examples: readonly string[] = []): void {
  if (examples.length === 0) return
  command.addHelpText('after', `\nExamples:\n${examples.map((line) => `  $ ${line}`).join('\n')}`)
}
