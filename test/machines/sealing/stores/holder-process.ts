/** Holds the store that it is given until it is killed; prints `held`, or why it cannot. */
import { holdStore } from '../../../../machines/sealing/stores/holder.ts'

try {
  holdStore(process.argv[2] ?? '')
  process.stdout.write('held\n')
  setInterval(() => undefined, 60_000)
} catch (thrown) {
  process.stdout.write(`refused: ${String(thrown)}\n`)
}
