/**
 * Figures of the steps that a worker runs, by stage. Decides: the names, labels and buckets. Leaves to
 * others: when a step begins and ends, and where the figures are served.
 */
import { Counter, Gauge, Histogram, Registry } from 'prom-client'
import type { AppMetric } from '../../../src/index.ts'
import { type PlanName, type SectorState, stageOf } from '../plans/index.ts'

/** A step of a small sector takes milliseconds, PC1 of a large one hours. */
const BUCKETS_SECONDS = [
  0.001, 0.005, 0.025, 0.1, 0.5, 1, 5, 15, 60, 300, 900, 1_800, 3_600, 7_200, 14_400, 28_800,
  86_400,
]

/** The ends of a try that did work; the others are rests: nothing was to be done yet. */
const WORKED: ReadonlySet<string> = new Set(['done', 'temporary', 'permanent', 'critical', 'abort'])

export interface StepPlace {
  plan: PlanName
  state: SectorState
}

export interface StepEnd extends StepPlace {
  /** `done`, the level of an error, or the reason of a rest. */
  end: string
  workMs: number
}

const STEPS = {
  name: 'sealing_step_total',
  help: 'steps of sealing threads that ended, by how',
  labelNames: ['stage', 'plan', 'outcome'],
}
const DURATIONS = {
  name: 'sealing_step_duration_seconds',
  help: 'time of the work of steps, of failed ones too, not of rests',
  labelNames: ['stage'],
  buckets: BUCKETS_SECONDS,
}
const WAITS = {
  name: 'sealing_step_waiting_seconds',
  help: 'time before steps since they were due: for a place, the worker, the chain or another try',
  labelNames: ['stage'],
  buckets: BUCKETS_SECONDS,
}
const RUNNING = {
  name: 'sealing_step_running',
  help: 'steps that run now',
  labelNames: ['stage'],
}

export class StageMetrics {
  readonly contentType = Registry.PROMETHEUS_CONTENT_TYPE
  readonly #registry = new Registry()
  readonly #steps = new Counter({ ...STEPS, registers: [this.#registry] })
  readonly #durations = new Histogram({ ...DURATIONS, registers: [this.#registry] })
  readonly #waits = new Histogram({ ...WAITS, registers: [this.#registry] })
  readonly #running = new Gauge({ ...RUNNING, registers: [this.#registry] })
  /** Who tells only of ends has nothing running. */
  readonly #begun = new Map<string, number>()

  /** @param waitedMs how long it had to wait, where that is known */
  started(place: StepPlace, waitedMs?: number): void {
    const stage = stageLabel(place)
    this.#count(stage, 1)
    if (waitedMs !== undefined) this.#waits.observe({ stage }, waitedMs / 1_000)
  }

  ended(step: StepEnd): void {
    const stage = stageLabel(step)
    const { plan, end, workMs } = step
    this.#steps.inc({ stage, plan, outcome: end })
    if (WORKED.has(end)) this.#durations.observe({ stage }, workMs / 1_000)
    if ((this.#begun.get(stage) ?? 0) > 0) this.#count(stage, -1)
  }

  /** As Prometheus reads it. */
  text(): Promise<string> {
    return this.#registry.metrics()
  }

  /** For the `/metrics` of a node, which has values only: a histogram is there as its sum and its count. */
  asAppMetrics(): AppMetric[] {
    return [
      appMetric(this.#steps, STEPS),
      appMetric(this.#running, RUNNING),
      ...['sum', 'count'].flatMap((part) => [
        appMetric(this.#durations, DURATIONS, part),
        appMetric(this.#waits, WAITS, part),
      ]),
    ]
  }

  #count(stage: string, by: number): void {
    this.#begun.set(stage, (this.#begun.get(stage) ?? 0) + by)
    this.#running.inc({ stage }, by)
  }
}

function appMetric(
  of: Counter | Gauge | Histogram,
  { name, help, labelNames }: typeof STEPS,
  part?: string,
): AppMetric {
  const whole = part === undefined ? name : `${name}_${part}`
  const collect = async () => {
    const { values } = await of.get()
    return values
      .filter((one) => part === undefined || ('metricName' in one && one.metricName === whole))
      .map(({ labels, value }) => ({
        labels: Object.fromEntries(labelNames.map((label) => [label, String(labels[label] ?? '')])),
        value,
      }))
  }
  const what = part === undefined ? help : `${help}: ${part}`
  return { name: whole, help: what, labels: labelNames, collect }
}

/** States without a stage of their own are named themselves: what waits there is worth knowing, too. */
export function stageLabel({ plan, state }: StepPlace): string {
  return stageOf(plan, state) ?? state
}
