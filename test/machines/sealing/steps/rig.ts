/**
 * Steps with real files, the stages of the reference prover in this process, a clock that tests move, and a
 * manager that answers what a test says. `drive` takes a thread through its plan as the machine does, by the
 * plan's own table.
 */
import { randomBytes } from 'node:crypto'
import { mkdirSync, mkdtempSync, realpathSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import {
  applyEvent,
  clearedBy,
  isEnd,
  type PlanName,
  type SectorState,
} from '../../../../machines/sealing/plans/index.ts'
import { runStage } from '../../../../machines/sealing/prover/stages.ts'
import { type ProverStage, parseTask } from '../../../../machines/sealing/prover/tasks.ts'
import {
  type EndedStep,
  type ProcessorUse,
  pieceSources,
  type StepAttempt,
  type StepDeps,
  StepRunner,
} from '../../../../machines/sealing/steps/index.ts'
import { AttachedStores, LocalStore } from '../../../../machines/sealing/stores/index.ts'
import type {
  SealingSettings,
  SectorRecord,
  StepInput,
  StepOutcome,
} from '../../../../machines/sealing/thread/index.ts'
import {
  type CallContext,
  type ManagerCalls,
  ManagerDown,
  type ParamsOf,
  type ResultOf,
  sealProofOfSize,
  VENUS_CALLS,
  type VenusCall,
} from '../../../../machines/sealing/venus/index.ts'
import { SeededRandom, VirtualClock } from '../../../../src/adapters/memory/index.ts'
import { silentLog } from '../../../../src/adapters/system/index.ts'
import { TaskError } from '../../../../src/index.ts'

export const SECTOR = { ID: { Miner: 1_000, Number: 7 }, ProofType: sealProofOfSize('2KiB').number }
export const TICKET = { Ticket: randomBytes(32).toString('base64'), Epoch: 100 }
export const SEED = { Seed: randomBytes(32).toString('base64'), Epoch: 260 }

export const SETTINGS: SealingSettings = {
  allowedMiners: [1_000],
  allowedSizes: ['2KiB'],
  enableDeals: false,
  disableCc: false,
  maxDeals: null,
  minDealSpace: null,
  maxRetries: 5,
  sealIntervalMs: 30_000,
  recoverIntervalMs: 60_000,
  rpcPollingIntervalMs: 180_000,
  requestTaskMaxRetries: 3,
  ignoreProofCheck: false,
  verifyAfterPc2: false,
}

type Answers = {
  [TCall in VenusCall]?: (
    params: ParamsOf<TCall>,
    context: CallContext,
  ) => ResultOf<TCall> | Promise<ResultOf<TCall>>
}

const ACCEPTED = { Res: 1, Desc: null }
const LANDED = { State: 3, Desc: null }

/** All goes well, for one sector without deals, unless a test says otherwise. */
const WELL: Answers = {
  AllocateSector: () => SECTOR,
  AssignTicket: () => TICKET,
  SubmitPreCommit: () => ACCEPTED,
  PollPreCommitState: () => LANDED,
  StoreReserveSpace: (_, __) => ({ Name: 'long' }),
  StoreBasicInfo: ([Name]) => ({ Name, Meta: { tier: 'cold' } }),
  SubmitPersistedEx: () => true,
  WaitSeed: () => ({ ShouldWait: false, Delay: 0, Seed: SEED }),
  SubmitProof: () => ACCEPTED,
  PollProofState: () => LANDED,
  ReportState: () => ({}),
  ReportFinalized: () => ({}),
  ReportAborted: () => ({}),
  SubmitSnapUpProof: () => ACCEPTED,
  AchieveUnsealSector: () => ({}),
  WdPoStHeartbeatJobs: () => ({}),
  WdPoStFinishJob: () => ({}),
}

export class FakeManager implements ManagerCalls {
  answers: Answers = { ...WELL }
  isDown = false
  readonly calls: { name: VenusCall; params: unknown; taskId: string | undefined }[] = []

  async call<TCall extends VenusCall>(
    name: TCall,
    params: ParamsOf<TCall>,
    context: CallContext = {},
  ): Promise<ResultOf<TCall>> {
    if (this.isDown) throw new ManagerDown('connection refused')
    const { params: wanted, result } = VENUS_CALLS[name]
    this.calls.push({ name, params: wanted.parse(params), taskId: context.taskId })
    const answer = this.answers[name]
    if (!answer) throw new Error(`the test has no answer to ${name}`)
    return result.parse(await answer(params, context)) as ResultOf<TCall>
  }

  paramsOf<TCall extends VenusCall>(name: TCall): ParamsOf<TCall>[] {
    return this.calls.filter((one) => one.name === name).map((one) => one.params as ParamsOf<TCall>)
  }
}

type StageCode = (task: never, use: ProcessorUse) => unknown

/** The stages of the reference prover, each of which a test can replace. */
export class FakeProcessors {
  readonly runs: { stage: string; lane: string | undefined; key: string }[] = []
  readonly stages: Record<string, StageCode> = {}
  quiet = async (_key: string): Promise<void> => undefined

  async run(stage: string, task: unknown, use: ProcessorUse): Promise<unknown> {
    this.runs.push({ stage, lane: use.lane, key: use.key })
    use.onStarted?.({ lane: use.lane ?? `inner.${stage}`, pid: null })
    const code = this.stages[stage] ?? ((sent) => this.well(stage, sent))
    // As it comes over a line of JSON.
    return await code(JSON.parse(JSON.stringify(task)) as never, use)
  }

  async well(stage: string, task: unknown): Promise<unknown> {
    const report = () => undefined
    const output = await runStage(stage as ProverStage, parseTask(stage, task), report)
    return JSON.parse(JSON.stringify(output))
  }
}

export class Rig {
  readonly root = realpathSync(mkdtempSync(join(tmpdir(), 'steps-')))
  readonly location = join(this.root, 'store1')
  readonly long = join(this.root, 'long')
  readonly pieces = join(this.root, 'pieces')
  readonly clock = new VirtualClock()
  readonly manager = new FakeManager()
  readonly processors = new FakeProcessors()
  readonly ended: EndedStep[] = []
  runner = this.newRunner()
  #tasks = 0

  constructor() {
    mkdirSync(this.long)
    mkdirSync(this.pieces)
  }

  /** As after a restart of the worker. */
  newRunner(deps: Partial<StepDeps> = {}): StepRunner {
    return new StepRunner({
      workerName: 'w1',
      lifeOfThreads: 'life',
      manager: this.manager,
      processors: this.processors,
      openStore: (location) => LocalStore.open(location),
      attached: new AttachedStores([
        { name: 'long', location: this.long },
        { name: 'old', location: join(this.root, 'old'), readonly: true },
      ]),
      pieces: pieceSources({ directories: [this.pieces], managerUrl: null }),
      clock: this.clock,
      random: new SeededRandom(1),
      log: silentLog,
      onEnded: (step) => this.ended.push(step),
      ...deps,
    })
  }

  input(state: SectorState, input: Partial<StepInput> = {}): StepInput {
    return {
      worker: 'w1',
      thread: 'w1~store1',
      location: this.location,
      plan: 'sealer',
      state,
      record: { sector: SECTOR },
      settings: SETTINGS,
      granted: [],
      retries: 0,
      rests: 0,
      restedFor: null,
      reported: null,
      abortReason: null,
      cycle: 0,
      waitingSince: null,
      waitedMs: 0,
      ...input,
    }
  }

  attempt(attempt: Partial<StepAttempt> = {}): StepAttempt {
    this.#tasks += 1
    return {
      taskId: `sealing-thread/w1~store1#1:${this.#tasks}:0`,
      signal: new AbortController().signal,
      progress: () => undefined,
      ...attempt,
    }
  }

  async run(
    state: SectorState,
    input: Partial<StepInput> = {},
    attempt: Partial<StepAttempt> = {},
  ): Promise<StepOutcome> {
    return await this.runner.run(this.input(state, input), this.attempt(attempt))
  }

  /** From a state until `stop` or the end of the plan; the states passed, and what is known then. */
  async drive(
    plan: PlanName,
    { stop, record = {}, state = 'Empty', input = {} }: DriveOptions = {},
  ): Promise<{ path: string[]; record: SectorRecord }> {
    const path: string[] = [state]
    let [at, known] = [state, record]
    while (at !== stop) {
      const outcome = await this.run(at, { plan, record: known, ...input })
      if (outcome.kind === 'rest') throw new Error(`${at} rests: ${outcome.why}`)
      known = after(plan, known, outcome)
      if (isEnd(at)) break
      const next = applyEvent(plan, at, outcome.event)
      if (!next) throw new Error(`${at} of ${plan} does not know ${outcome.event}`)
      path.push(next)
      at = next
    }
    return { path, record: known }
  }

  close(): void {
    this.runner.stop()
    rmSync(this.root, { recursive: true, force: true })
  }
}

export interface DriveOptions {
  stop?: SectorState
  record?: SectorRecord
  state?: SectorState
  input?: Partial<StepInput>
}

function after(
  plan: PlanName,
  record: SectorRecord,
  outcome: Extract<StepOutcome, { kind: 'done' }>,
): SectorRecord {
  const known: Record<string, unknown> = { ...record }
  for (const key of clearedBy(plan, outcome.event)) delete known[key]
  // As it is committed.
  return JSON.parse(JSON.stringify({ ...known, ...outcome.record })) as SectorRecord
}

/** The level and the message of a step that is to fail. */
export async function failure(step: Promise<unknown>): Promise<string> {
  try {
    await step
  } catch (thrown) {
    if (!(thrown instanceof TaskError)) throw thrown
    const { level } = thrown.failure.detail as { level: string }
    return `${level}: ${thrown.message}`
  }
  throw new Error('the step did not fail')
}
