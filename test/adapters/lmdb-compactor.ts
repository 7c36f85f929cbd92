/**
 * A process that compacts an LMDB store and is killed on its way; a child of the tests. Arguments: the
 * directory, and before which step it ends: the number of a call that changes files, or `copy` for the
 * middle of the copying. Without one it runs to the end and prints how many calls there were.
 */
import fs from 'node:fs'
import { syncBuiltinESMExports } from 'node:module'

const [directory = '', step = ''] = process.argv.slice(2)
let calls = 0

function die(): never {
  process.kill(process.pid, 'SIGKILL')
  // The signal comes before anything else does.
  for (;;) {}
}

const files = fs as unknown as Record<string, (...words: unknown[]) => unknown>
for (const name of ['mkdirSync', 'fsyncSync', 'writeFileSync', 'renameSync', 'rmSync']) {
  const real = files[name]?.bind(fs)
  files[name] = (...words) => {
    calls += 1
    if (String(calls) === step) die()
    const done = real?.(...words)
    if (step === 'copy' && name === 'mkdirSync') setImmediate(die)
    return done
  }
}
syncBuiltinESMExports()

const { compactStore } = await import('../../src/adapters/lmdb/index.ts')
calls = 0
await compactStore(directory, 'next')
process.stdout.write(`${calls}\n`)
