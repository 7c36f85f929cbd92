/**
 * A worker that starts a command in each directory, one after the other, and waits for all; tests kill
 * it. Arguments: directories joined by colons, shell command.
 */
import { ProcessRunner, type RunningProcess } from '../../../src/worker/process/index.ts'
import { realClock, silentLog } from './real-time.ts'

const [dirs = '', shell = ''] = process.argv.slice(2)
const runner = new ProcessRunner({ clock: realClock, log: silentLog })
const runs: RunningProcess[] = []
for (const dir of dirs.split(':')) runs.push(await runner.start(dir, { command: { shell } }))
await Promise.all(runs.map((run) => run.exit()))
