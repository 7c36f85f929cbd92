/** Runs the command inside the test's process, with everything it writes taken down. */

import { runCli, type Terminal } from '../../src/cli/index.ts'
import type { App, LazyApp } from '../../src/node/index.ts'

export interface Ran {
  code: number
  out: string
  err: string
}

export interface RunInit {
  apps?: readonly (App | LazyApp)[]
  env?: Record<string, string>
  cwd?: string
  /** Standard output and standard error are a terminal. */
  isTty?: boolean
  script?: string
  question?: (text: string) => Promise<string>
  columns?: number
  /** Aborting it is a signal to the command. */
  interrupt?: AbortSignal
  /** Called with all of standard output whenever it grows. */
  onOut?: (out: string) => void
}

export async function run(argv: readonly string[], init: RunInit = {}): Promise<Ran> {
  const ran: Ran = { code: -1, out: '', err: '' }
  const terminal: Terminal = {
    env: init.env ?? {},
    cwd: init.cwd ?? process.cwd(),
    isTty: init.isTty ?? false,
    isErrorTty: init.isTty ?? false,
    script: init.script,
    columns: init.columns,
    question: init.question,
    write: (chunk) => {
      ran.out += typeof chunk === 'string' ? chunk : Buffer.from(chunk).toString('utf8')
      init.onOut?.(ran.out)
    },
    writeError: (text) => {
      ran.err += text
    },
    onSignal: (call) => {
      const onAbort = () => call('SIGINT')
      init.interrupt?.addEventListener('abort', onAbort)
      return () => init.interrupt?.removeEventListener('abort', onAbort)
    },
    exit: () => {},
  }
  ran.code = await runCli({ apps: init.apps ?? [], argv, terminal })
  return ran
}
