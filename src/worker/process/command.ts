/**
 * What to run: the specification of a command, and how it becomes arguments and an environment.
 *
 * Decides: that a command never passes through another shell than the one it asks for, what of the
 * node's environment a command may see, and what is refused before anything starts. Leaves to others:
 * starting it (`runner.ts`).
 */
import { renameSync, writeFileSync } from 'node:fs'
import { isAbsolute, join } from 'node:path'

import { TroupeError } from '../../protocol/index.ts'
import { RUN_VARIABLE } from './identity.ts'
import type { ProcessLimits } from './limits.ts'
import { RUN_FILES } from './records.ts'
import type { ShimArguments } from './shim.ts'
import { WATCHDOG_INTERVALS } from './shim.ts'

/** `shell` is run by `/bin/sh -c`; `argv` is a program and its arguments, run as they are. */
export type Command = { readonly shell: string } | { readonly argv: readonly string[] }

export interface ProcessSpec {
  command: Command
  /** An existing directory; the worker's own when absent. */
  cwd?: string
  /** Variables over the base; `TROUPE_RUN` (the run's directory) is always set beside them. */
  env?: Readonly<Record<string, string>>
  /**
   * `clean` (default): PATH, HOME, LANG and a few more of the node's environment, never all of it.
   * `empty`: only `env`.
   */
  envBase?: 'clean' | 'empty'
  /**
   * When the leader exits, the run is over, and what it left in its process group is ended: SIGTERM,
   * `groupGraceMs`, SIGKILL. True leaves it alone; it may then write to the streams after the end.
   * What moved to another session is out of reach in either case.
   */
  keepGroup?: boolean
  /** Default: the limit of the same name. */
  groupGraceMs?: number
  /**
   * Ends the group when `heartbeatFile` has not been touched for this long (to `orphanMs` * 1.25), or
   * has been missing for as long. Without it a command waits for no worker.
   */
  orphanMs?: number
  /** What a `Heartbeat` touches; one file may serve all runs of a worker. Absolute. */
  heartbeatFile?: string
}

/** Of the node's environment only these reach a command: they say where it is, and hold no secrets. */
const BASE_VARIABLES = [
  'PATH',
  'HOME',
  'LANG',
  'LC_ALL',
  'TZ',
  'TMPDIR',
  'USER',
  'LOGNAME',
  'SHELL',
]

const BASE_DEFAULTS: Readonly<Record<string, string>> = {
  PATH: '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin',
  HOME: '/',
  LANG: 'C.UTF-8',
}

/** Shells drop variables of other names without a word, so they are refused. */
const VARIABLE_NAME = /^[A-Za-z_][A-Za-z0-9_]*$/

/** Shells set these themselves, whatever they are given. (So they do PWD, which is then right.) */
const SHELL_VARIABLES: ReadonlySet<string> = new Set(['IFS', 'OPTIND', 'PPID'])

/** The part of the node's environment that commands may see. */
export function cleanEnvironment(environment: NodeJS.ProcessEnv): Record<string, string> {
  const base: Record<string, string> = { ...BASE_DEFAULTS }
  for (const name of BASE_VARIABLES) {
    const value = environment[name]
    if (value !== undefined && value !== '') base[name] = value
  }
  return base
}

/** Throws `malformed` or `too-large` for what could not be run as it was meant. */
export function checkSpec(spec: ProcessSpec, limits: ProcessLimits): void {
  checkCommand(spec.command, limits)
  for (const name of Object.keys(spec.env ?? {})) {
    if (!VARIABLE_NAME.test(name)) throw malformed(`"${name}" cannot be the name of a variable`)
    if (name.startsWith('__t_') || SHELL_VARIABLES.has(name))
      throw malformed(`the variable ${name} belongs to the shell that starts the command`)
  }
  const variables = Object.entries(spec.env ?? {}).map(([name, value]) => `${name}=${value}`)
  checkWords('env', variables, limits)
  checkDuration('groupGraceMs', spec.groupGraceMs, 0)
  checkDuration('orphanMs', spec.orphanMs, limits.orphanMsMin)
  if ((spec.orphanMs === undefined) !== (spec.heartbeatFile === undefined)) {
    throw malformed('orphanMs and heartbeatFile are given together or not at all')
  }
  if (spec.heartbeatFile !== undefined && !isAbsolute(spec.heartbeatFile)) {
    throw malformed(`heartbeatFile must be an absolute path, not "${spec.heartbeatFile}"`)
  }
  checkWords('cwd and heartbeatFile', [spec.cwd ?? '', spec.heartbeatFile ?? ''], limits)
}

/** The words to execute. A long shell command is first put into the run's directory, as a script. */
export function commandWords(
  command: Command,
  dir: string,
  limits: ProcessLimits,
): readonly string[] {
  if ('argv' in command) return command.argv
  if (Buffer.byteLength(command.shell) <= limits.shellInlineBytesMax) {
    // `--` so that a command that begins with a dash is not taken for an option of the shell.
    return ['/bin/sh', '-c', '--', command.shell]
  }
  const path = join(dir, RUN_FILES.script)
  const draft = `${path}.${process.pid}`
  writeFileSync(draft, command.shell, { mode: 0o600 })
  renameSync(draft, path)
  return ['/bin/sh', path]
}

export function environmentOf(
  spec: ProcessSpec,
  dir: string,
  base: Readonly<Record<string, string>>,
): Record<string, string> {
  return { ...(spec.envBase === 'empty' ? {} : base), ...spec.env, [RUN_VARIABLE]: dir }
}

/** The watchdog looks several times per `orphanMs`, so one missed beat ends nothing. */
export function watchdogOf(spec: ProcessSpec): ShimArguments['watchdog'] {
  if (spec.orphanMs === undefined || spec.heartbeatFile === undefined) return undefined
  return { intervalMs: spec.orphanMs / WATCHDOG_INTERVALS, heartbeatFile: spec.heartbeatFile }
}

function checkCommand(command: Command, limits: ProcessLimits): void {
  if ('argv' in command) {
    const [program] = command.argv
    if (program === undefined || program === '') throw malformed('argv must name a program first')
    checkWords('argv', command.argv, limits)
    return
  }
  if (command.shell.includes('\0')) throw malformed('the shell command holds a NUL character')
  const bytes = Buffer.byteLength(command.shell)
  if (bytes > limits.shellBytesMax) {
    throw tooLarge(`the shell command has ${bytes} bytes`, 'shellBytesMax', limits.shellBytesMax)
  }
}

function checkWords(what: string, words: readonly string[], limits: ProcessLimits): void {
  let total = 0
  for (const word of words) {
    if (word.includes('\0')) throw malformed(`${what} holds a NUL character`)
    const bytes = Buffer.byteLength(word)
    total += bytes + 1
    if (bytes > limits.argumentBytesMax) {
      throw tooLarge(
        `one part of ${what} has ${bytes} bytes`,
        'argumentBytesMax',
        limits.argumentBytesMax,
      )
    }
  }
  if (total > limits.argumentsBytesMax) {
    throw tooLarge(`${what} has ${total} bytes`, 'argumentsBytesMax', limits.argumentsBytesMax)
  }
}

function checkDuration(name: string, value: number | undefined, min: number): void {
  if (value === undefined || (Number.isSafeInteger(value) && value >= min)) return
  throw malformed(`${name} must be a whole number of milliseconds, ${min} or more, not ${value}`)
}

function malformed(message: string): TroupeError {
  return new TroupeError('malformed', message)
}

function tooLarge(message: string, limit: string, max: number): TroupeError {
  return new TroupeError('too-large', `${message}; the limit ${limit} is ${max}`, {
    detail: { limit, max },
  })
}
