/** Steps of a chart without an engine: what comes out of a position and an event. */
import type { AnyMachineSnapshot } from 'xstate'
import {
  dehydrate,
  describeEffect,
  type Effect,
  type HostedMachine,
  hostMachine,
  type MachineDefinition,
  type Remains,
  type Step,
  stepAnew,
  stepEvent,
  stepInitial,
  stepReentry,
  stepToState,
  wake,
} from '../../src/machine/index.ts'
import { DEFAULT_LIMITS, type Limits, type StateValue } from '../../src/protocol/index.ts'

const IDENTITY = { id: 'x', address: 'm/x', hasParent: false }

/** An actor in the hand: it moves from step to step and keeps what the last one asked for. */
export class Pocket {
  readonly hosted: HostedMachine
  snapshot: AnyMachineSnapshot
  effects: readonly Effect[]
  handled = true

  constructor(definition: MachineDefinition, input?: unknown, limits: Limits = DEFAULT_LIMITS) {
    this.hosted = hostMachine(definition, limits)
    const first = succeeded(stepInitial(this.hosted.chart, input, IDENTITY))
    this.snapshot = first.snapshot
    this.effects = first.effects
  }

  send(type: string, fields: object = {}): this {
    return this.take(stepEvent(this.hosted.chart, this.snapshot, { type, ...fields }, IDENTITY))
  }

  goto(path: string, ...failedChildren: string[]): this {
    const { hosted, snapshot } = this
    return this.take(stepToState(hosted.chart, snapshot, path, IDENTITY, failedChildren))
  }

  /** What has ended is brought back. */
  anew(path: string, end: Remains['end']): this {
    const stored = dehydrate(this.snapshot)
    return this.take(stepAnew(this.hosted.chart, { stored, end }, path, IDENTITY))
  }

  retry(...failedChildren: string[]): this {
    return this.take(stepReentry(this.hosted.chart, this.snapshot, failedChildren, IDENTITY))
  }

  /** Why a step fails; the position stays. */
  failure(type: string): string {
    const step = stepEvent(this.hosted.chart, this.snapshot, { type }, IDENTITY)
    if (step.kind === 'stepped') throw new Error(`${type} did not fail`)
    return step.message
  }

  /** Down to disk and up again, where a migration may have written its position anew. */
  sleep(value = this.snapshot.value as StateValue): this {
    const stored = { ...dehydrate(this.snapshot), value }
    this.snapshot = wake(this.hosted.chart, stored, [], IDENTITY)
    return this
  }

  get value(): unknown {
    return this.snapshot.value
  }

  get seen(): string[] {
    return (this.snapshot.context as { seen: string[] }).seen
  }

  /** The effects of the last step in words. */
  get asked(): string[] {
    return this.effects.map(describeEffect)
  }

  private take(step: Step): this {
    const { snapshot, effects, handled } = succeeded(step)
    this.snapshot = snapshot
    this.effects = effects
    this.handled = handled
    return this
  }
}

function succeeded(step: Step): Extract<Step, { kind: 'stepped' }> {
  if (step.kind === 'failed') throw new Error(step.message)
  return step
}
