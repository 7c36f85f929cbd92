/** How fast a new node makes the state of its shards from their journals, against bare puts of the same rows. */
import { startNatsServer } from '../../test/nats-server.ts'
import type { RecoveryParams, RecoveryResult } from '../cluster/recovery.ts'
import { spreadOf } from '../measure.ts'
import { type Bench, folderOf, runPart } from '../parts.ts'
import { number, type Report } from '../report.ts'

const SERVE_MAX_MS = 30_000

export async function recovery(bench: Bench): Promise<Report> {
  const server = await startNatsServer()
  try {
    const data = folderOf(bench, 'recovery')
    const params: RecoveryParams = { data, url: server.url, quick: bench.quick }
    return reportOf(await runPart<RecoveryResult>(bench, 'recovery', params))
  } finally {
    await server.close()
  }
}

function reportOf(result: RecoveryResult): Report {
  const { actors, slots, startsPerSecond, serveMs, rssAnonMb } = result
  const { rows, rowsPerSecond, barePerSecond } = result
  const ratio = rowsPerSecond / barePerSecond
  return {
    scenario: `recovery: a new node takes ${number(actors)} actors from ${number(slots)} slots`,
    figures: [],
    demands: [
      {
        what: 'rows/s of a replay',
        measured: `${number(rowsPerSecond)} /s`,
        limit: `${number(barePerSecond)} /s (the same rows, bare and in large blocks)`,
        ratio: spreadOf([ratio]),
        demanded: '>= 0.5',
        pass: ratio >= 0.5,
      },
      {
        what: `a new node serves ${number(actors)} actors`,
        measured: `${number(serveMs / 1_000)} s`,
        limit: '',
        demanded: `<= ${SERVE_MAX_MS / 1_000} s`,
        pass: serveMs <= SERVE_MAX_MS,
      },
    ],
    notes: [
      `${number(startsPerSecond)} actors were started per second; ${number(rows)} rows were written by the replay, from the first slot that it read on`,
      `the new node has ${number(rssAnonMb)} MB of memory of its own; it starts with an empty directory`,
    ],
  }
}
