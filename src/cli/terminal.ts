/**
 * What the command reads from and writes to. Decides: nothing; it is the seam at which tests run the
 * command inside their own process.
 */
export interface Terminal {
  readonly env: Readonly<Record<string, string | undefined>>
  readonly cwd: string
  /** Standard output is read by a person. */
  readonly isTty: boolean
  /** Standard error is read by a person. */
  readonly isErrorTty: boolean
  /** The file that Node.js runs; undefined inside other programs. */
  readonly script: string | undefined
  write(chunk: string | Uint8Array): void
  writeError(text: string): void
  /** Calls on SIGINT and SIGTERM, each time; the result stops that. */
  onSignal(call: (signal: string) => void): () => void
  /** Ends the process at once. */
  exit(code: number): void
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
    write: (chunk) => void process.stdout.write(chunk),
    writeError: (text) => void process.stderr.write(text),
    onSignal: (call) => {
      process.on('SIGINT', call)
      process.on('SIGTERM', call)
      return () => {
        process.off('SIGINT', call)
        process.off('SIGTERM', call)
      }
    },
    exit: (code) => process.exit(code),
  }
}
