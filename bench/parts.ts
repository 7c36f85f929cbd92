/** Runs a part of a scenario in a process of its own. Decides: how the two talk. */
import { fork } from 'node:child_process'
import { join } from 'node:path'

export interface Bench {
  /** The compiled `child.js`. */
  child: string
  data: string
  nodeFlags: readonly string[]
  /** Short rounds and few actors: shows that it runs, its figures mean nothing. */
  quick: boolean
  progress(line: string): void
}

interface Answer<T> {
  result?: T
  error?: string
}

export function runPart<T>(
  bench: Bench,
  name: string,
  params: object,
  nodeFlags: readonly string[] = bench.nodeFlags,
): Promise<T> {
  bench.progress(name)
  const child = fork(bench.child, [name, JSON.stringify(params)], {
    execArgv: [...nodeFlags],
    stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
    serialization: 'advanced',
  })
  return new Promise((resolve, reject) => {
    let answer: Answer<T> | undefined
    child.on('message', (message) => {
      answer = message as Answer<T>
    })
    child.once('error', reject)
    child.once('exit', (code, signal) => {
      if (answer?.error !== undefined) reject(new Error(`${name}: ${answer.error}`))
      else if (answer !== undefined) resolve(answer.result as T)
      else reject(new Error(`${name} ended without a result (${signal ?? `exit code ${code}`})`))
    })
  })
}

export function folderOf(bench: Bench, name: string): string {
  return join(bench.data, name)
}
