/**
 * Holds the store that it is given until it is killed; prints `held`, or why it cannot. With a second argument it
 * waits for lines instead: `take <unix ms>` at that moment, and `release`.
 */
import { createInterface } from 'node:readline'
import { holdStore, type StoreHold } from '../../../../machines/sealing/stores/index.ts'
import { systemClock } from '../../../../src/index.ts'

const [location = '', isCommanded] = process.argv.slice(2)
const clock = systemClock()
let hold: StoreHold | undefined

function take(): void {
  try {
    hold = holdStore(location, { clock })
    process.stdout.write('held\n')
  } catch (thrown) {
    process.stdout.write(`refused: ${String(thrown)}\n`)
  }
}

if (isCommanded === undefined) take()
else {
  process.stdout.write('ready\n')
  createInterface({ input: process.stdin }).on('line', (line) => {
    const [word, atMs] = line.split(' ')
    if (word === 'release') hold?.release()
    if (word !== 'take') return
    // The two of them at once, as near as can be.
    while (Date.now() < Number(atMs));
    take()
  })
}
