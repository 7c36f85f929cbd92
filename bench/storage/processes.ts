/** Processes of a store that is measured. Decides: how they are started, and where they listen. */
import { type ChildProcess, spawn } from 'node:child_process'
import { createServer } from 'node:net'
import { fileURLToPath } from 'node:url'

interface StartOptions {
  nodeFlags?: readonly string[]
  env?: Readonly<Record<string, string>>
}

/** @param main a file that stands beside this one, compiled */
export function startProcess(
  main: 'troupe-main' | 'blobnode-main' | 'hop-main',
  words: readonly string[],
  { nodeFlags = [], env = {} }: StartOptions = {},
): ChildProcess {
  const file = fileURLToPath(new URL(`./${main}.js`, import.meta.url))
  return spawn(process.execPath, [...nodeFlags, file, ...words], {
    stdio: ['ignore', 'ignore', 'inherit'],
    env: { ...process.env, ...env },
  })
}

export async function endProcesses(children: readonly ChildProcess[]): Promise<void> {
  const ended = children.map((child) => new Promise((resolve) => child.once('exit', resolve)))
  for (const child of children) child.kill('SIGTERM')
  await Promise.all(ended)
}

export async function freePort(): Promise<number> {
  const server = createServer()
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const address = server.address()
  await new Promise((resolve) => server.close(resolve))
  return typeof address === 'object' && address !== null ? address.port : 0
}
