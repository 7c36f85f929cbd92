/**
 * A process that writes to an LMDB store until it is killed or fenced; a child of the tests.
 *
 * Prints `open`, then `flushed <n>` for each transaction that is on disk, `fenced <n>` and the like
 * for one that failed. Transaction n sets rows `<name>/a/<n>` and `<name>/b/<n>`, and `<name>/last`.
 * Arguments: directory, name, and optionally the value that row `owner` must have.
 */
import { LmdbStore } from '../../src/adapters/lmdb/index.ts'

const [directory, name, owner] = process.argv.slice(2) as [string, string, string | undefined]
const UNDER_WAY = 20

const store = LmdbStore.open({ directory })
say('open')
let next = 0
let failed = false

function writeOne(): void {
  if (failed) return
  const n = ++next
  const value = Buffer.from(`${n}`)
  store.write({
    writes: [
      [Buffer.from(`${name}/a/${n}`), value],
      [Buffer.from(`${name}/last`), value],
      [Buffer.from(`${name}/b/${n}`), value],
    ],
    ...(owner && { condition: { key: Buffer.from('owner'), equals: Buffer.from(owner) } }),
    flushed: () => {
      say(`flushed ${n}`)
      // With pauses, so that groups differ in size.
      if (n % 7 === 0) setTimeout(writeOne, 1)
      else writeOne()
    },
    failed: ({ kind }) => {
      failed = true
      say(`${kind} ${n}`)
    },
  })
}

for (let i = 0; i < UNDER_WAY; i++) writeOne()

function say(line: string): void {
  process.stdout.write(`${line}\n`)
}
