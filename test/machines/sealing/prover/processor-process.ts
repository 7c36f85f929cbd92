/** A child as workers start it: `processor-process.ts STAGE`. */
import { runProcessor } from '../../../../machines/sealing/prover/index.ts'

const [stage = ''] = process.argv.slice(2)
const note = (line: string) => process.stderr.write(`${line}\n`)
await runProcessor(stage, process.stdin, process.stdout, { note })
