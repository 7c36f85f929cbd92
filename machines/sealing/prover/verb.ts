/**
 * `troupe sealing processor STAGE`: what people read about it, and how a process becomes one. Leaves to
 * others: the lines (`processor.ts`).
 */
import type { AppVerb } from '../../../src/index.ts'
import { runProcessor } from './processor.ts'
import { PROVER_STAGES } from './tasks.ts'

export const PROCESSOR_HELP = `The reference processor of one stage: reads requests from standard input, a JSON line each, and
writes answers to standard output, as the processors of sealing workers do.

THIS IS NOT FILECOIN'S PROOF. It does real work (SHA-256 labels in layers, Merkle trees, openings and a
verifier that notices one changed byte) at sector sizes from 2KiB to 8MiB, so that a sealing pipeline can
be built, tested and rehearsed. No chain of Filecoin accepts its proofs, and it makes nothing expensive
enough to secure anything. For real sectors, name a real processor in [[processors.<stage>]].

stages: ${PROVER_STAGES.join(', ')}

  first line out   <stage> processor ready {"cancel":true,"progress":true}
  request          {"id":1,"task":{...}}
  answer           {"id":1,"err_msg":null,"output":...}  or  {"id":1,"err_msg":"why","output":null}
  progress         {"id":1,"progress":{"done":3,"of":4,"what":"layer"}}
  cancel           {"id":1,"cancel":true}

It ends when its input is closed and all answers are written, and at once when nobody reads them.`

export const processorVerb: AppVerb = {
  path: ['sealing', 'processor'],
  summary:
    "does the work of one stage on standard input and output; not Filecoin's proof (says more without a stage)",
  arguments: '[stage]',
  options: [
    {
      flags: '--plain',
      description: 'announces no cancel and no progress, for workers that know neither',
    },
  ],
  examples: [
    'troupe sealing processor pc1',
    `echo '{"id":1,"task":{"registered_proof":"StackedDrg8KiBV1_1","staged_file":"/data/staged","cache_dir":"/data/cache"}}' | troupe sealing processor tree_d`,
  ],
  run: async ({ arguments: [stage], options, note, print, signal }) => {
    const plain = options['plain'] === true
    if (stage === undefined) print(PROCESSOR_HELP)
    else await runProcessor(stage, process.stdin, process.stdout, { plain, signal, note })
  },
}
