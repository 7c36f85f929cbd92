/**
 * Verbs that apps bring along. Decides: how they are merged into the command, and what they are
 * given. What follows `--` reaches them as it is, word by word: no shell ever reads it.
 */
import type { Command } from 'commander'
import type { App, AppVerb, VerbCall } from '../node/index.ts'
import { TroupeError } from '../protocol/index.ts'
import { verbClock } from './clock.ts'
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
  for (const group of groups) {
    const known = find(parent, group)
    // A verb with verbs below it could no longer be called by itself.
    if (known?.commands.length === 0) throw refusal(app, verb, `"${group}" is a verb already`)
    parent = known ?? parent.command(group).description(`verbs of the app ${app.name}`)
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
    inSession(command, terminal, outcome, (session) =>
      verb.run(callOf(session, command.args, { ...command.opts() })),
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
  return {
    arguments: words,
    options,
    json: session.json,
    http: (request) => session.api.call(request),
    print: (line) => session.print(line),
    write: (chunk) => session.terminal.write(chunk),
    note: (line) => session.terminal.writeError(`${line}\n`),
    clock: verbClock,
    signal: session.signal,
  }
}
