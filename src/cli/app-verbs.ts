/**
 * Verbs that apps bring along. Decides: how they are merged into the command, and what they are
 * given. What follows `--` reaches them as it is, word by word: no shell ever reads it.
 */
import type { Command } from 'commander'
import type { App, AppVerb, LazyApp, VerbCall } from '../node/index.ts'
import { TroupeError } from '../protocol/light.ts'
import { verbClock } from './clock.ts'
import { UsageError } from './exit-codes.ts'
import { ProgressBar } from './progress.ts'
import type { Session } from './session.ts'
import type { Terminal } from './terminal.ts'
import { inSession, type Outcome, withCommonOptions } from './verbs.ts'

/** @throws TroupeError `invalid-config` when a verb is there already or cannot be declared */
export function addAppVerbs(
  program: Command,
  app: VerbsOf,
  terminal: Terminal,
  outcome: Outcome,
): void {
  for (const verb of app.verbs ?? []) addAppVerb(program, app, verb, terminal, outcome)
}

/**
 * Those of an app that is loaded in parts. @param said all words that may name one: what stands for others
 * is only named, for help @throws TroupeError as `addAppVerbs`
 */
export async function addLazyVerbs(
  program: Command,
  { name, verbs, verbGroups }: LazyApp,
  said: ReadonlySet<string>,
  terminal: Terminal,
  outcome: Outcome,
): Promise<void> {
  const isSaid = (word: string) => said.has(word)
  for (const [words, load] of Object.entries(verbs)) {
    const first = words.split(' ')
    if (!first.every(isSaid)) continue
    const begun = (await load()).filter(({ path }) => first.every((word, at) => path[at] === word))
    addAppVerbs(program, { name, verbs: begun, verbGroups }, terminal, outcome)
  }
  for (const words of new Set([...Object.keys(verbGroups), ...Object.keys(verbs)])) {
    const path = words.split(' ')
    // What stands below other words is seen only beside them.
    if (path.slice(0, -1).every(isSaid)) nameGroup(program, path, verbGroups)
  }
}

/** Whose verbs are loaded when they are called: such a command looks like a verb. */
const placeholders = new WeakSet<Command>()

function nameGroup(
  program: Command,
  path: readonly string[],
  summaries: LazyApp['verbGroups'],
): void {
  let parent = program
  for (const [depth, word] of path.entries()) {
    const summary = summaries[path.slice(0, depth + 1).join(' ')] ?? ''
    parent = find(parent, word) ?? placeholder(parent, word, summary)
  }
}

/** A word that verbs stand below, which are not there yet. */
export function placeholder(parent: Command, word: string, summary: string): Command {
  const command = parent.command(word).description(summary)
  placeholders.add(command)
  return command
}

type VerbsOf = Pick<App, 'name' | 'verbs' | 'verbGroups'>

function addAppVerb(
  program: Command,
  app: VerbsOf,
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
    if (known?.commands.length === 0 && !placeholders.has(known))
      throw refusal(app, verb, `"${group}" is a verb already`)
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

function refusal(app: VerbsOf, verb: AppVerb, why: string): TroupeError {
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
    transfer: (request) => session.api.transfer(request),
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
