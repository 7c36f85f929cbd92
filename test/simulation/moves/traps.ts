/**
 * Kills at a moment of a move: a node dies between two of its steps (reference sheet, section 5.2).
 *
 * Decides: by the list of events, when a step is `asked` for (the move stands in its state, and nobody knows of
 * the task yet), and when it is `done` (its work shows in the world, and the move does not know). Leaves to others:
 * that the node comes back, what follows, and that a move comes to a step that is not on every move's way.
 */
import type { MoveRecord } from '../../../machines/storage/background/moves/index.ts'
import { vuidParts } from '../../../machines/storage/plane/codes/index.ts'
import type { VolumeRecord } from '../../../machines/storage/plane/volumes/index.ts'
import { shardOf } from '../../../src/protocol/index.ts'
import type { ActorFact, SimEvent } from '../events.ts'
import type { GuestStage } from '../guest.ts'

/** Of a move that nobody cancels. */
export const STEPS = ['claim', 'lock', 'alloc', 'compare', 'update', 'settle'] as const
export type Step = (typeof STEPS)[number] | 'withdraw'
export const MOMENTS = ['asked', 'done'] as const
/** Of the move's shard, of its volume's shard, or who runs the task of the step. */
export const VICTIMS = ['leader', 'leader of the volume', 'runner'] as const

export interface Trap {
  step: Step
  moment: (typeof MOMENTS)[number]
  victim: (typeof VICTIMS)[number]
}

const STATES: Readonly<Record<Step, string>> = {
  claim: '{"preparing":"claiming"}',
  lock: '{"preparing":"locking"}',
  alloc: '{"preparing":"allocating"}',
  compare: '{"work_completed":"comparing"}',
  update: '{"work_completed":"updating"}',
  withdraw: '{"work_completed":"withdrawing"}',
  settle: '{"work_completed":"settling"}',
}

interface Found {
  move: MoveRecord
  volume: VolumeRecord
}

/** Whether what a step does is done; a comparison changes nothing, and shows by what it has read. */
const IS_DONE: Readonly<Record<Step, (found: Found, event: SimEvent) => boolean>> = {
  claim: ({ move, volume }) => volume.mover === move.taskId,
  lock: ({ volume }) => volume.standing === 'lock',
  alloc: ({ move, volume }) => volume.fittings[indexOf(move)]?.step === 'ready',
  compare: (_, event) => event.kind === 'chunk-call' && event.verb === 'list',
  update: ({ move, volume }) =>
    volume.units[indexOf(move)]?.epoch === vuidParts(move.destination.vuid).epoch,
  withdraw: ({ move, volume }) => volume.fittings[indexOf(move)] === undefined,
  settle: ({ volume }) => volume.retired.length === 0,
}

const indexOf = ({ sourceVuid }: MoveRecord) => vuidParts(sourceVuid).index

/** It springs once. */
export function setTrap(trap: Trap, stage: GuestStage): void {
  onceAt(stage, (event) => {
    const name = victimAt(event, trap, stage)
    const node = stage.nodes().find((one) => one.name === name)
    node?.crash(whyOf(trap))
    return node !== undefined
  })
}

/** As soon as a step is asked for, somebody does something beside it: once. */
export function whenAsked(step: Step, stage: GuestStage, act: () => void): void {
  onceAt(stage, () => {
    const isAsked = actorOf(stage, 'migrate-task')?.state === STATES[step]
    if (isAsked) act()
    return isAsked
  })
}

/** @param look is called until it says that this was the moment */
function onceAt({ recorder, base }: GuestStage, look: (event: SimEvent) => boolean): void {
  const add = recorder.add.bind(recorder)
  let isOver = false
  recorder.add = (happening) => {
    add(happening)
    const { kind } = happening
    if (isOver || (kind !== 'slot' && kind !== 'chunk-call')) return
    const event = recorder.events.at(-1)
    // Behind the event: what follows from it is known by then, and nobody has heard of it.
    base.defer(() => {
      if (!isOver && event) isOver = look(event)
    })
  }
}

export function whyOf({ step, moment, victim }: Trap): string {
  return `${step} is ${moment}: kill -9 of the ${victim}`
}

function victimAt(event: SimEvent, trap: Trap, stage: GuestStage): string | undefined {
  const { step, moment } = trap
  const move = actorOf(stage, 'migrate-task')
  if (move?.state !== STATES[step]) return undefined
  const volume = actorOf(stage, 'volume')
  if (volume === undefined) return undefined
  const found = {
    move: move.context as unknown as MoveRecord,
    volume: volume.context as unknown as VolumeRecord,
  }
  if (moment === 'done' && !IS_DONE[step](found, event)) return undefined
  if (trap.victim === 'runner') return runnerOf(move, stage)
  const { address } = trap.victim === 'leader' ? move : volume
  return leaderOf(address, stage)
}

/** There is one of each. */
function actorOf({ mirror }: GuestStage, machine: string): ActorFact | undefined {
  for (const actor of mirror.all()) if (actor.address.startsWith(`${machine}/`)) return actor
  return undefined
}

function leaderOf(address: string, { nodes, parameters }: GuestStage): string | undefined {
  const shard = shardOf(address, parameters.shards)
  return nodes().find((node) => node.serves(shard))?.name
}

/** Undefined until its task has begun. */
function runnerOf(move: ActorFact, { recorder }: GuestStage): string | undefined {
  const [task] = move.tasks
  const began = recorder.events.findLast(
    (event) => event.kind === 'task-began' && event.taskId === task?.taskId,
  )
  return began?.kind === 'task-began' ? began.worker.replace('.node', '') : undefined
}
