/**
 * Verbs that apps bring along. Decides: how they are merged into the command, and what they are
 * given. What follows `--` reaches them as it is, word by word: no shell ever reads it.
 */
import type { Command } from 'commander'
import type { App, AppVerb, VerbCall } from '../node/index.ts'
import { TroupeError } from '../protocol/index.ts'
import { verbClock } from './clock.ts'
import { Session, type SessionOptions } from './session.ts'
import type { Terminal } from './terminal.ts'
import { withCommonOptions } from './verbs.ts'

/** @throws TroupeError `invalid-config` when a verb is there already */
export function addAppVerbs(program: Command, apps: readonly App[], terminal: Terminal): void {
  for (const app of apps) {
    for (const verb of app.verbs ?? []) addAppVerb(program, app, verb, terminal)
  }
}

function addAppVerb(program: Command, app: App, verb: AppVerb, terminal: Terminal): void {
  const groups = verb.path.slice(0, -1)
  const name = verb.path.at(-1)
  if (name === undefined)
    throw new TroupeError('invalid-config', `app ${app.name} has a verb without a name`)
  let parent = program
  for (const group of groups)
    parent =
      find(parent, group) ?? parent.command(group).description(`verbs of the app ${app.name}`)
  if (find(parent, name)) {
    throw new TroupeError(
      'invalid-config',
      `app ${app.name} brings the verb "troupe ${verb.path.join(' ')}", which is there already`,
    )
  }
  const command = parent.command(name).description(verb.summary)
  if (verb.arguments !== undefined && verb.arguments !== '') command.arguments(verb.arguments)
  for (const { flags, description, default: value } of verb.options ?? [])
    command.option(flags, description, value)
  withCommonOptions(command, verb.examples)
  command.action(async () => {
    const options = command.opts<SessionOptions>()
    const session = new Session(options, terminal)
    try {
      await verb.run(callOf(session, command.args, { ...options }))
    } finally {
      session.close()
    }
  })
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
