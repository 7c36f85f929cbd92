/**
 * Threads for what computes long. Decides: how one is started from the sources as well as from what was compiled.
 * Leaves to others: what it does, and how many there are.
 */
import { extname } from 'node:path'
import { Worker } from 'node:worker_threads'

/**
 * Runs the module `name` that lies beside the caller's own in a thread.
 * @param caller its `import.meta.url` @param name without an extension, such as `thread`
 */
export function startThread(caller: string, name: string): Worker {
  const extension = extname(caller)
  const entry = new URL(`./${name}${extension}`, caller)
  if (extension !== '.ts') return new Worker(entry, { execArgv: [] })
  // The sources need tsx in the thread as well.
  const tsx = JSON.stringify(import.meta.resolve('tsx/esm/api'))
  const script = `import { register } from ${tsx}
register()
await import(${JSON.stringify(entry.href)})`
  const url = new URL(`data:text/javascript,${encodeURIComponent(script)}`)
  return new Worker(url, { execArgv: [] })
}
