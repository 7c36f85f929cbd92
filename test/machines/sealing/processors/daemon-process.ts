/**
 * A daemon to be killed: its children scribble. Arguments: the ledger, the child's script, a file to
 * scribble into. Prints `working` when the first byte is there.
 */
import { Processors, processorConfig } from '../../../../machines/sealing/processors/index.ts'
import { openLog } from '../../../../src/index.ts'
import { until } from '../../../waiting.ts'
import { sizeOf } from './rig.ts'

const [ledgerDirectory = '', script = '', file = ''] = process.argv.slice(2)
const args = [script, 'pc1', '{}']
const config = processorConfig.parse({ bin: process.execPath, args, stableWaitMs: 20_000 })
const log = openLog({ level: 'silent' })
const processors = new Processors({ pc1: [config] }, { log, ledgerDirectory })
await processors.start()
processors.run('pc1', { do: 'scribble', file }, { key: 'store1' }).catch(() => undefined)
await until(() => sizeOf(file) > 0, { timeoutMs: 30_000 }, 'it scribbles')
process.stdout.write('working\n')
