/**
 * A worker that starts a command in each directory, one after the other, and waits for all; tests kill
 * it. Arguments: directories joined by colons, shell command, ms between two starts.
 */
import { ProcessRunner, type RunningProcess } from '../../../src/worker/process/index.ts'
import { realClock, silentLog } from './real-time.ts'

const [dirs = '', shell = '', pauseMs = '0'] = process.argv.slice(2)
const runner = new ProcessRunner({ clock: realClock, log: silentLog })
const runs: RunningProcess[] = []
for (const dir of dirs.split(':')) {
  runs.push(await runner.start(dir, { command: { shell } }))
  if (pauseMs !== '0')
    await new Promise<void>((resolve) => void realClock.after(Number(pauseMs), resolve))
}
await Promise.all(runs.map((run) => run.exit()))
