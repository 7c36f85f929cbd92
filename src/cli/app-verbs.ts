/**
 * Verbs that apps bring along. Decides: how they are merged into the command, and what they are
 * given. What follows `--` reaches them as it is, word by word: no shell ever reads it.
 */
import type { Command } from 'commander'
import type { App, AppVerb, VerbCall } from '../node/index.ts'
import { TroupeError } from '../protocol/index.ts'
import { verbClock } from './clock.ts'
import { UsageError } from './exit-codes.ts'
import { ProgressBar } from './progress.ts'
import type { Session } from './session.ts'
import type { Terminal } from './terminal.ts'
import { inSession, type Outcome, withCommonOptions } from './verbs.ts'

/** @throws TroupeError `invalid-config` when a verb is there already or cannot be declared */
export function addAppVerbs(
  program: Command,
  apps: readonly App[],
  terminal: Terminal,
  outcome: Outcome,
): void {
  for (const app of apps) {
    for (const verb of app.verbs ?? []) addAppVerb(program, app, verb, terminal, outcome)
  }
}

function addAppVerb(
  program: Command,
  app: App,
  verb: AppVerb,
  terminal: Terminal,
  outcome: Outcome,
): void {
  const groups = verb.path.slice(0, -1)
  const name = verb.path.at(-1)
  if (name === undefined)
    throw new TroupeError('invalid-config', `app ${app.name} has a verb without a name`)
  let parent = program
  for (const [depth, group] of groups.entries()) {
    const known = find(parent, group)
    const said = app.verbGroups?.[groups.slice(0, depth + 1).join(' ')]
    // A verb with verbs below it could no longer be called by itself.
    if (known?.commands.length === 0) throw refusal(app, verb, `"${group}" is a verb already`)
    parent = known ?? parent.command(group).description(said ?? `verbs of the app ${app.name}`)
  }
  if (find(parent, name)) throw refusal(app, verb, 'it is there already')
  const command = parent.command(name).description(verb.summary)
  try {
    if (verb.arguments !== undefined && verb.arguments !== '') command.arguments(verb.arguments)
    for (const { flags, description, default: value } of verb.options ?? [])
      command.option(flags, description, value)
    withCommonOptions(command, verb.examples)
  } catch (cause) {
    throw refusal(app, verb, (cause as Error).message)
  }
  command.action(() =>
    inSession(
      command.opts(),
      terminal,
      outcome,
      (session) => verb.run(callOf(session, command.args, { ...command.opts() })),
      verb.serves,
    ),
  )
}

function refusal(app: App, verb: AppVerb, why: string): TroupeError {
  const name = `troupe ${verb.path.join(' ')}`
  return new TroupeError('invalid-config', `app ${app.name} brings the verb "${name}": ${why}`)
}

function find(parent: Command, name: string): Command | undefined {
  return parent.commands.find((command) => command.name() === name)
}

function callOf(
  session: Session,
  words: readonly string[],
  options: Record<string, unknown>,
): VerbCall {
  const { terminal, signal, json } = session
  const bar = new ProgressBar(terminal, !json)
  const withoutBar =
    <T>(write: (given: T) => void) =>
    (given: T) => {
      bar.end()
      write(given)
    }
  return {
    arguments: words,
    options,
    json,
    http: (request) => session.api.call(request),
    print: withoutBar((line: string) => session.print(line)),
    write: withoutBar((chunk: string | Uint8Array) => terminal.write(chunk)),
    note: withoutBar((line: string) => terminal.writeError(`${line}\n`)),
    progress: bar.update,
    confirm: async (question) => {
      if (!terminal.question) throw new UsageError('nobody can be asked here: say --yes')
      bar.end()
      return (await terminal.question(`${question} Type yes: `, signal)).trim() === 'yes'
    },
    clock: verbClock,
    signal,
  }
}
