/** The verbs `troupe sealing chain`. Decides: what a person types and reads. */
import { type AppVerb, TroupeError, toJson, type VerbCall } from '../../../src/index.ts'
import type { ChainView } from './chain.ts'

export const chainVerbs: readonly AppVerb[] = [
  {
    path: ['sealing', 'chain', 'show'],
    summary: 'show the simulated chain: its height, what waits for a batch, what goes wrong',
    examples: ['troupe sealing chain show'],
    run: async (call) => {
      const { body } = await call.http({ method: 'GET', path: '/sealing/chain' })
      show(call, body as ChainView)
    },
  },
  {
    path: ['sealing', 'chain', 'inject'],
    summary: 'let messages fail that are sent from now on: the next, or some by chance',
    arguments: '<kind>',
    options: [
      { flags: '--message <kind>', description: 'only preCommit, prove or snapUp' },
      { flags: '--sector <name>', description: 'only those of this sector' },
      { flags: '--count <number>', description: 'how many messages (1)' },
      { flags: '--rate <share>', description: 'instead: each message, or block, by chance: 0.05' },
    ],
    examples: [
      'troupe sealing chain inject fail --message preCommit --count 3',
      'troupe sealing chain inject shouldAbort --sector s-t01000-7',
      'troupe sealing chain inject permFail --rate 0.01   # also: notFound, reorg (per block)',
      'troupe sealing chain inject none                   # ends what was injected',
    ],
    run: inject,
  },
  {
    path: ['sealing', 'chain', 'reorg'],
    summary: 'take back the newest blocks: their messages are in the next block again',
    arguments: '<blocks>',
    examples: ['troupe sealing chain reorg 3'],
    run: async (call) => {
      const depth = numberOf('<blocks>', call.arguments[0])
      const request = { method: 'POST', path: '/sealing/chain/reorg', body: { depth } } as const
      const { body } = await call.http(request)
      show(call, body as ChainView)
    },
  },
]

async function inject(call: VerbCall): Promise<void> {
  const path = '/sealing/chain/faults'
  const [kind] = call.arguments
  if (kind === 'none') {
    const { body } = await call.http({ method: 'DELETE', path })
    return show(call, body as ChainView)
  }
  const { message, sector, count, rate } = call.options
  const request = {
    ...{ kind, message, sector },
    ...(count === undefined ? {} : { count: numberOf('--count', count) }),
    ...(rate === undefined ? {} : { rate: numberOf('--rate', rate) }),
  }
  const { body } = await call.http({ method: 'POST', path, body: request })
  show(call, body as ChainView)
}

function show(call: VerbCall, view: ChainView): void {
  if (call.json) return call.print(toJson(view))
  const { height, blockMs, confidence, seedDelay, seedMargin, forks } = view
  call.print(`height ${height}  a block each ${blockMs / 1_000} s  ${forks} reorganisations`)
  call.print(`  lands with ${confidence} blocks on top`)
  call.print(`  seed ${seedDelay} blocks behind the precommit, given ${seedMargin} later`)
  for (const { kind, miner, waiting, of, flushesInMs } of view.batches) {
    const flush = `goes in ${Math.ceil(flushesInMs / 1_000)} s at the latest`
    call.print(`  batch  ${kind} of t0${miner}  ${waiting}/${of} wait  ${flush}`)
  }
  for (const [fault, rate] of Object.entries(view.rates)) {
    const of = fault === 'reorg' ? 'blocks' : 'messages'
    if (rate > 0) call.print(`  rate  ${fault}  ${Number((rate * 100).toFixed(4))} % of ${of}`)
  }
  for (const { fault, kind, sector, left } of view.scripted) {
    const whose = [kind ?? 'any message', ...(sector === null ? [] : [`of ${sector}`])].join(' ')
    call.print(`  fault  ${fault}  the next ${left}: ${whose}`)
  }
  for (const { fork, from, at } of view.reorgs) {
    call.print(`  reorganisation ${fork}  blocks ${from} to ${at}`)
  }
}

function numberOf(flag: string, given: unknown): number {
  const text = String(given)
  if (/^\d{1,9}(\.\d{1,9})?$/.test(text)) return Number(text)
  throw new TroupeError('malformed', `${flag}: "${text.slice(0, 64)}" is not a number`)
}
