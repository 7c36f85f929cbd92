/**
 * What workers say of their sectors, and of themselves. Decides: what is worth a commit. Leaves to others:
 * what follows for the sector (`sector-rules.ts`), whose name is whose (`worker-pings.ts`).
 */
import { type Client, type Clock, TroupeError } from '../../../src/index.ts'
import type { ParamsOf, ResultOf, SectorId } from '../venus/index.ts'
import type { ManagerConfig } from './config.ts'
import { CallFailure, FAILED, isCode } from './failures.ts'
import { TEXT_CHARS_MAX } from './sector-record.ts'
import { reportOf } from './sector-rules.ts'
import type { Sectors } from './sectors.ts'
import { type PingAnswer, workerAddress } from './worker-pings.ts'

/** Whoever works on one step for long is still heard of: the record says so this often. */
const HEARD_EVERY_MS = 3_600_000

type StateReport = ParamsOf<'ReportState'>[1]

export interface ReportsDeps {
  client: Client
  clock: Clock
  config: ManagerConfig
  sectors: Sectors
}

export class Reports {
  readonly #deps: ReportsDeps

  constructor(deps: ReportsDeps) {
    this.#deps = deps
  }

  /** The answer tells the worker when the sector is wanted no more. */
  async state(id: SectorId, report: StateReport): Promise<ResultOf<'ReportState'>> {
    const { finalized, abortReason } = await this.#state(id, report)
    return { ID: id, Finalized: finalized, AbortReason: abortReason }
  }

  async finalized(id: SectorId): Promise<null> {
    const { sectors, clock } = this.#deps
    await sectors.apply(id, { type: 'FINALIZED', at: clock.now() })
    return null
  }

  async aborted(id: SectorId, reason: string): Promise<null> {
    const { sectors, clock } = this.#deps
    await sectors.apply(id, { type: 'ABORTED', at: clock.now(), reason: clip(reason) })
    return null
  }

  /** @throws CallFailure when the name is another worker's */
  async ping(info: ParamsOf<'WorkerPing'>[0]): Promise<Record<string, never>> {
    const { client, clock, config } = this.#deps
    if (info.Name === '' || info.Dest === '') {
      throw new CallFailure(FAILED, 'a worker says its Name and its Dest when it pings')
    }
    const address = workerAddress(info.Name)
    const at = clock.now()
    const { pingIntervalMs: intervalMs } = config.policy
    try {
      const event = { type: 'PING', info, at, intervalMs }
      const answer = (await client.ask(address, event)) as PingAnswer | undefined
      if (answer && 'refused' in answer) throw new CallFailure(FAILED, answer.refused)
    } catch (thrown) {
      if (!isCode(thrown, 'unknown-actor')) throw thrown
      await client.ensure(address, { info, at })
    }
    return {}
  }

  async #state(id: SectorId, report: StateReport): Promise<ReturnType<typeof reportOf>> {
    const { sectors, clock } = this.#deps
    const { Worker, StateChange, Failure } = report
    // Whoever only asks whether it should go on has nothing to be kept.
    if (StateChange.Prev === StateChange.Next && !Failure) {
      const record = await sectors.record(id)
      const at = clock.now()
      if (at - record.heardAt >= HEARD_EVERY_MS) await sectors.apply(id, { type: 'HEARD', at })
      return reportOf(record)
    }
    const answer = await sectors.send(id, {
      type: 'REPORT',
      report: {
        at: clock.now(),
        worker: clip(Worker.Instance),
        location: clip(Worker.Location),
        prev: clip(StateChange.Prev),
        next: clip(StateChange.Next),
        event: clip(StateChange.Event),
        failure: Failure ? { level: clip(Failure.Level), desc: clip(Failure.Desc) } : null,
      },
    })
    if ('report' in answer) return answer.report
    throw new TroupeError('internal', 'a report was answered as something else')
  }
}

function clip(text: string): string {
  return text.slice(0, TEXT_CHARS_MAX)
}
