/**
 * How fast a new node makes the state of its shards from their journals, against bare puts of rows of the same
 * sizes. Decides: which journals: one in which every actor was only started, so that nothing in it can be folded
 * and every record has to be written, and one of actors that went on, as journals behind a checkpoint are. The
 * first is the harder one, so it is the one that has to meet the demand.
 */
import { startNatsServer } from '../../test/nats-server.ts'
import type { RecoveryParams, RecoveryResult } from '../cluster/recovery.ts'
import { spreadOf } from '../measure.ts'
import { type Bench, folderOf, runPart } from '../parts.ts'
import { type Demand, number, type Report } from '../report.ts'

const SERVE_MAX_MS = 30_000
const RATIO_MIN = 0.5
const STARTED = { full: 1_000_000, quick: 20_000 }
const BUSY = { full: 100_000, quick: 5_000 }
const EVENTS_PER_ACTOR = 5

export async function recovery(bench: Bench): Promise<Report> {
  const size = bench.quick ? 'quick' : 'full'
  const started = await recovered(bench, { actors: STARTED[size], eventsPerActor: 0 })
  const busy = await recovered(bench, { actors: BUSY[size], eventsPerActor: EVENTS_PER_ACTOR })
  return {
    scenario: `recovery: a new node takes ${number(started.actors)} actors from ${number(started.slots)} slots`,
    figures: [],
    demands: [
      replayDemand('records/s of a replay, nothing of it folded', started),
      replayDemand(`records/s of a replay of ${EVENTS_PER_ACTOR} events for each actor`, busy),
      {
        what: `a new node serves ${number(started.actors)} actors`,
        measured: `${number(started.serveMs / 1_000)} s`,
        limit: '',
        demanded: `<= ${SERVE_MAX_MS / 1_000} s`,
        pass: started.serveMs <= SERVE_MAX_MS,
      },
    ],
    notes: [started, busy].flatMap(notesOf),
  }
}

/** On a server of its own, which holds nothing else. */
async function recovered(
  bench: Bench,
  load: Pick<RecoveryParams, 'actors' | 'eventsPerActor'>,
): Promise<RecoveryResult> {
  const server = await startNatsServer()
  try {
    const data = folderOf(bench, `recovery-${load.eventsPerActor}`)
    const params: RecoveryParams = { ...load, data, url: server.url }
    return await runPart<RecoveryResult>(bench, 'recovery', params)
  } finally {
    await server.close()
  }
}

function replayDemand(what: string, result: RecoveryResult): Demand {
  const { rowsReadPerSecond, barePerSecond } = result
  const ratio = rowsReadPerSecond / barePerSecond
  return {
    what,
    measured: `${number(rowsReadPerSecond)} /s`,
    limit: `${number(barePerSecond)} /s (rows of the same sizes, bare and in large blocks)`,
    ratio: spreadOf([ratio]),
    demanded: `>= ${RATIO_MIN}`,
    pass: ratio >= RATIO_MIN,
  }
}

function notesOf(result: RecoveryResult): string[] {
  const { actors, eventsPerActor, commandsPerSecond, rowsRead, rowsWritten } = result
  return [
    `${number(actors)} actors with ${eventsPerActor} events each were filled in at ${number(commandsPerSecond)} commands/s; of ${number(rowsRead)} records ${number(rowsWritten)} rows were written, from the first slot that was read on; it served after ${number(result.serveMs / 1_000)} s`,
    `the new node had ${number(result.rssAnonMb)} MB of memory of its own; it starts with an empty directory`,
  ]
}
