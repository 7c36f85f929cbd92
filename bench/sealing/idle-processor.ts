/**
 * A processor that does nothing: it answers every task at once with what its stage has to say. Decides: the
 * answers. It speaks the JSON-lines protocol by itself, as foreign processors do.
 */
import { createInterface } from 'node:readline'

const NODE_BYTES = 32
const PROOF_BYTES = 192
const SECTOR_BYTES = 2_048
const NODE = Array<number>(NODE_BYTES).fill(7)

const OUTPUTS: Readonly<Record<string, unknown>> = {
  add_pieces: [{ commitment: NODE, size: SECTOR_BYTES }],
  tree_d: true,
  pc1: { labels: 'none' },
  pc2: { comm_r: NODE, comm_d: NODE },
  transfer: true,
  c1: { challenges: 'none' },
  c2: { proof: Buffer.alloc(PROOF_BYTES, 7).toString('base64') },
}

const [stage = ''] = process.argv.slice(2)
const output = OUTPUTS[stage] ?? true

process.stdout.write(`${stage} processor ready\n`)
createInterface({ input: process.stdin }).on('line', (line) => {
  const { id } = JSON.parse(line) as { id: number }
  process.stdout.write(`${JSON.stringify({ id, err_msg: null, output })}\n`)
})
