/**
 * A chart and what its children are made of. Decides: which kind of actor each source becomes, and
 * keeps the parts of a chart that are derived once.
 */
import type { AnyActorLogic, AnyStateMachine } from 'xstate'
import { nodesOf, statePaths } from './chart.ts'
import { ReentryCharts } from './reentry.ts'
import type { AnyTask } from './task.ts'

/** What an `src` of `invoke` or `spawnChild` stands for. */
export type Source =
  | { kind: 'machine'; chart: Chart }
  | { kind: 'task'; task: AnyTask }
  /** `fromTransition`: a reducer that is stored like a machine. */
  | { kind: 'transition'; logic: AnyActorLogic }
  /** `fromCallback`, `fromObservable`: runs beside the owner. */
  | { kind: 'live'; logic: AnyActorLogic }

export class Chart {
  readonly machine: AnyStateMachine
  readonly hash: string
  readonly sources: ReadonlyMap<string, Source>
  readonly reentry: ReentryCharts
  /** What `resume --state` accepts. */
  readonly states: readonly string[]
  readonly hasHistory: boolean

  constructor(machine: AnyStateMachine, hash: string, sources: ReadonlyMap<string, Source>) {
    this.machine = machine
    this.hash = hash
    this.sources = sources
    this.reentry = new ReentryCharts(machine)
    this.states = statePaths(machine)
    this.hasHistory = nodesOf(machine.root).some((node) => node.type === 'history')
  }
}
