/**
 * What the command reads from and writes to. Decides: nothing; it is the seam at which tests run the
 * command inside their own process.
 */
import { isatty } from 'node:tty'

const STDIN_FD = 0

export interface Terminal {
  readonly env: Readonly<Record<string, string | undefined>>
  readonly cwd: string
  /** Standard output is read by a person. */
  readonly isTty: boolean
  /** Standard error is read by a person. */
  readonly isErrorTty: boolean
  /** The file that Node.js runs; undefined inside other programs. */
  readonly script: string | undefined
  /** Of the terminal; undefined where it has no width. */
  readonly columns?: number | undefined
  /** Asks a person; undefined where there is none. Aborted, or at Ctrl-C, the answer is empty. */
  readonly question?: ((text: string, signal: AbortSignal) => Promise<string>) | undefined
  write(chunk: string | Uint8Array): void
  writeError(text: string): void
  /** Calls on these signals, each time; the result stops that. Default: SIGINT and SIGTERM. */
  onSignal(call: (signal: string) => void, signals?: readonly NodeJS.Signals[]): () => void
  /** It was a person's terminal and is closed now. */
  readonly hasHungUp?: (() => boolean) | undefined
  /** Ends the process at once. */
  exit(code: number): void
}

async function ask(text: string, signal: AbortSignal): Promise<string> {
  const { createInterface } = await import('node:readline/promises')
  const lines = createInterface({ input: process.stdin, output: process.stderr })
  try {
    lines.on('SIGINT', () => lines.close())
    const closed = new Promise<string>((resolve) => lines.once('close', () => resolve('')))
    return await Promise.race([lines.question(text, { signal }), closed])
  } catch (thrown) {
    if (signal.aborted) return ''
    throw thrown
  } finally {
    lines.close()
  }
}

export function processTerminal(): Terminal {
  // A reader that has seen enough (`| head`) is no failure.
  process.stdout.on('error', (error: NodeJS.ErrnoException) =>
    process.exit(error.code === 'EPIPE' ? 0 : 1),
  )
  process.stderr.on('error', () => {})
  return {
    env: process.env,
    cwd: process.cwd(),
    isTty: process.stdout.isTTY === true,
    isErrorTty: process.stderr.isTTY === true,
    script: process.argv[1],
    get columns() {
      return process.stdout.columns ?? process.stderr.columns
    },
    // Asked of the file descriptor: standard input itself takes a while to open, and few verbs read it.
    question: isatty(STDIN_FD) ? ask : undefined,
    write: (chunk) => void process.stdout.write(chunk),
    writeError: (text) => void process.stderr.write(text),
    onSignal: (call, signals = ['SIGINT', 'SIGTERM']) => {
      for (const signal of signals) process.on(signal, call)
      return () => {
        for (const signal of signals) process.off(signal, call)
      }
    },
    hasHungUp: () => process.stderr.isTTY === true && !isatty(process.stderr.fd),
    exit: (code) => process.exit(code),
  }
}
