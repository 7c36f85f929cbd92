/** Bodies that come and go beside a heap that V8 leaves little room, and how often all that lives was collected. */
import { constants, type PerformanceEntry, PerformanceObserver } from 'node:perf_hooks'
import { setFlagsFromString } from 'node:v8'
import { collectSeldom } from '../../../../../machines/storage/plane/blobnode/kept-memory.ts'

const BODIES = 16_000
const BODY_BYTES = 65_536
const TURN = 64
/** What V8 allows at most while it takes a process for one that grows slowly. */
const LEAST_PERCENT = 30
/** That much lives: a heap of some 20 MB. */
const ALIVE = 100_000

setFlagsFromString(`--heap-growing-percent=${LEAST_PERCENT}`)
if (process.argv.includes('seldom')) collectSeldom()
const alive = Array.from({ length: ALIVE }, (_, n) => ({ n, both: [n, n] }))
let collections = 0
const watch = new PerformanceObserver((list) => {
  for (const entry of list.getEntries()) {
    const { detail } = entry as PerformanceEntry & { detail: { kind: number } }
    if (detail.kind === constants.NODE_PERFORMANCE_GC_MAJOR) collections += 1
  }
})
watch.observe({ entryTypes: ['gc'] })
for (let n = 0; n < BODIES; n += 1) {
  Buffer.allocUnsafeSlow(BODY_BYTES)
  if (n % TURN === 0) await new Promise((resolve) => setImmediate(resolve))
}
// What was seen last is told in a turn of its own.
await new Promise((resolve) => setImmediate(resolve))
if (alive.length === ALIVE) process.stdout.write(`${collections}\n`)
