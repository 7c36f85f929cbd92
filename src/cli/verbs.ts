/**
 * How verbs are declared. Decides: the options that every verb has, and where its examples stand.
 */
import type { Command } from 'commander'
import { Session, type SessionOptions } from './session.ts'
import type { Terminal } from './terminal.ts'

export type Flags = Readonly<Record<string, unknown>>

export interface VerbSpec {
  options?: readonly (readonly [flags: string, description: string])[]
  examples?: readonly string[]
  run: (session: Session, words: readonly (string | undefined)[], flags: Flags) => Promise<void>
}

/** Adds a verb below a command: its name and arguments, its summary, what it does. */
export type AddVerb = (parent: Command, usage: string, summary: string, spec: VerbSpec) => void

export function verbAdder(terminal: Terminal): AddVerb {
  return (parent, usage, summary, { options = [], examples, run }) => {
    const command = parent.command(usage).description(summary)
    for (const [flags, description] of options) command.option(flags, description)
    withCommonOptions(command, examples)
    command.action(async () => {
      const flags = command.opts<SessionOptions>()
      const session = new Session(flags, terminal)
      try {
        await run(session, command.args, flags as Flags)
      } finally {
        session.close()
      }
    })
  }
}

export function withCommonOptions(command: Command, examples: readonly string[] = []): void {
  command
    .option('--http <url>', 'the node to talk to (or TROUPE_HTTP; http://127.0.0.1:9800)')
    .option('--json', 'one JSON value instead of text')
    .option('--timeout <duration>', 'how long the node may take: 500ms, 10s, 2m')
  withExamples(command, examples)
}

export function withExamples(command: Command, examples: readonly string[] = []): void {
  if (examples.length === 0) return
  command.addHelpText('after', `\nExamples:\n${examples.map((line) => `  $ ${line}`).join('\n')}`)
}
