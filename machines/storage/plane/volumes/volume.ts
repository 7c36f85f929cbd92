/**
 * The machine `volume`: a set of units on different disks that blobs are laid over. Decides: its states, and
 * when tasks run for it. Leaves to others: what its events change (`volume-rules.ts`, `unit-rules.ts`), the
 * tasks themselves (`volume-tasks.ts`).
 *
 * ```
 * standing   creating ──► idle ◄── RETURN, time over ──► active
 *                          ▲ └─LOCK─► lock ──UNLOCK, or the turn of its mover is over──► unlocking ─┐
 *                          └────────────────────────────────────────────────────────────────────────┘
 * fitting    rest ──► choosing ──► making ──► rest        units get chunks
 * releasing  rest ──► releasing ──► rest                  chunks that are nobody's go
 * ```
 *
 * The three go on beside each other: a chunk may be made whether the volume is locked or written to. It takes
 * the place of a unit under a lock, or where the disk of that unit is none to write to any more. One that
 * nobody asks for again is released by itself.
 */
import { cancel, setup } from 'xstate'
import {
  defineMachine,
  type ErrorRecord,
  formatAddress,
  reply,
  tell,
} from '../../../../src/index.ts'
import { codeModeOf, unitCount, vuidParts } from '../codes/index.ts'
import { BIRTH_MS, type VolumeWord } from './move-claims.ts'
import {
  type Chunk,
  fittingsAt,
  newVolume,
  RETIRED_MAX,
  type VolumeAnswer,
  type VolumeEvent,
  type VolumeInput,
  type VolumeRecord,
  type VolumeResult,
  type VolumeStanding,
  volumeEvents,
  volumeInput,
} from './volume-record.ts'
import { decide } from './volume-rules.ts'
import { chooseTask, lockTask, makeTask, releaseTask, unlockTask } from './volume-tasks.ts'

const HISTORY_COUNT = 50
const RETAIN = 'retain'
/** As long as it failed often, in seconds; at most half a minute. */
const PAUSE_MS = 1_000
const PAUSES_MAX = 30

/** Past this part of itself a volume is not taken to be written to. */
const ROOMY = 7 / 8

type Room = keyof VolumeRecord['troubles']
const INTERNAL = ['RETAIN_OVER', 'RETIRED_OVER', 'READY_OVER', 'BIRTH_OVER'] as const

const chart = setup({
  types: {
    context: {} as VolumeRecord,
    events: {} as VolumeEvent,
    input: {} as VolumeInput,
  },
  actors: {
    choose: chooseTask,
    make: makeTask,
    release: releaseTask,
    lock: lockTask,
    unlock: unlockTask,
  },
  delays: {
    fittingPause: ({ context }) => pauseMs(context, 'fitting'),
    releasingPause: ({ context }) => pauseMs(context, 'releasing'),
    settingPause: ({ context }) => pauseMs(context, 'setting'),
  },
  guards: {
    stands: ({ context }, { as }: { as: VolumeStanding }) => context.standing === as,
    isSet: ({ context }) => context.isSet,
    isTroubled: ({ context }, { room }: { room: Room }) => context.troubles[room].tries > 0,
    canMake: ({ context }) => fittingsAt(context, 'chosen').length > 0,
    canChoose: ({ context }) =>
      fittingsAt(context, 'wanted').length > 0 && context.retired.length < RETIRED_MAX,
    hasDue: ({ context }) => context.retired.some(({ isDue }) => isDue),
  },
  actions: {
    answer: reply((_, { answer }: { answer: VolumeAnswer }) => answer),
    tell: tell((_, { words }: { words: readonly VolumeWord[] }) => words),
  },
})

const act = chart.enqueueActions(({ context, event, enqueue }) => {
  const { next, answer, words = [] } = decide(context, told(event))
  enqueue.assign(next)
  if (next.holder !== context.holder) {
    enqueue(cancel(RETAIN))
    if (next.holder && (event.type === 'ACQUIRE' || event.type === 'RETAIN')) {
      enqueue.raise({ type: 'RETAIN_OVER' }, { id: RETAIN, delay: event.retainMs })
    }
  }
  if (event.type === 'UPDATE_UNIT' && next.retired.length > context.retired.length) {
    const { index, epoch } = next.retired.at(-1) ?? { index: 0, epoch: 0 }
    const over = { type: 'RETIRED_OVER', index, epoch } as const
    enqueue.raise(over, { id: `retired-${index}-${epoch}`, delay: next.retiredKeptMs })
  }
  if (event.type === 'ADD_MOVE' && next.moves !== context.moves) {
    const id = `birth-${vuidParts(event.vuid).index}`
    enqueue(cancel(id))
    enqueue.raise({ type: 'BIRTH_OVER', mover: event.mover }, { id, delay: BIRTH_MS })
  }
  const granted = answer && 'ok' in answer ? event : undefined
  for (const { index, epoch } of kept(context, next, granted)) {
    const id = `ready-${index}`
    enqueue(cancel(id))
    enqueue.raise({ type: 'READY_OVER', index, epoch }, { id, delay: next.readyKeptMs })
  }
  if (words.length > 0) enqueue({ type: 'tell', params: { words } })
  if (answer) enqueue({ type: 'answer', params: { answer } })
})

const to = <TTarget extends string>(standing: VolumeStanding, target: TTarget) => ({
  guard: { type: 'stands' as const, params: { as: standing } },
  target,
})
/** By force it may be past that before its chunks were locked. */
const UNLOCKED = [
  to('unlocking', '#volume.standing.unlocking'),
  to('idle', '#volume.standing.idle'),
  to('active', '#volume.standing.active'),
]
const troubled = <TTarget extends string>(room: Room, target: TTarget) => ({
  guard: { type: 'isTroubled' as const, params: { room } },
  target,
})
/** The types of events name no ends of tasks; `told` knows them. */
const atEnd = act as never
/** A task came to an end, whichever. */
const then = <TTarget extends string>(target: TTarget) => ({
  onDone: { target, actions: atEnd },
  onError: { target, actions: atEnd },
})

const machine = chart.createMachine({
  id: 'volume',
  context: ({ input }) => newVolume(input, unitCount(codeModeOf(input.mode))),
  type: 'parallel',
  on: Object.fromEntries(
    [...Object.keys(volumeEvents), ...INTERNAL, 'troupe.deadLetter'].map((type) => [
      type,
      { actions: act },
    ]),
  ) as Record<keyof typeof volumeEvents, { actions: typeof act }>,
  states: {
    standing: {
      initial: 'creating',
      states: {
        creating: { always: to('idle', 'idle') },
        idle: { always: [to('active', 'active'), to('lock', 'lock')] },
        active: { always: to('idle', 'idle') },
        lock: {
          initial: 'setting',
          states: {
            setting: {
              invoke: {
                id: 'lock',
                src: 'lock',
                input: ({ context }) => unitsOf(context),
                ...then('judging'),
              },
            },
            judging: {
              always: [...UNLOCKED, { guard: 'isSet', target: 'set' }, { target: 'pausing' }],
            },
            pausing: {
              always: UNLOCKED,
              after: { settingPause: 'setting' },
            },
            set: { always: UNLOCKED },
          },
        },
        unlocking: {
          always: to('idle', 'idle'),
          initial: 'setting',
          states: {
            setting: {
              invoke: {
                id: 'unlock',
                src: 'unlock',
                input: ({ context }) => unitsOf(context),
                ...then('pausing'),
              },
            },
            pausing: { after: { settingPause: 'setting' } },
          },
        },
      },
    },
    fitting: {
      initial: 'rest',
      states: {
        rest: {
          always: [
            { guard: 'canMake', target: 'making' },
            { guard: 'canChoose', target: 'choosing' },
          ],
        },
        choosing: {
          invoke: {
            id: 'choose',
            src: 'choose',
            input: ({ context }) => choiceOf(context),
            ...then('judging'),
          },
        },
        making: {
          invoke: {
            id: 'make',
            src: 'make',
            input: ({ context }) => makingOf(context),
            ...then('judging'),
          },
        },
        judging: { always: [troubled('fitting', 'pausing'), { target: 'rest' }] },
        pausing: { after: { fittingPause: 'rest' } },
      },
    },
    releasing: {
      initial: 'rest',
      states: {
        rest: { always: { guard: 'hasDue', target: 'releasing' } },
        releasing: {
          invoke: {
            id: 'release',
            src: 'release',
            input: ({ context }) => dueOf(context),
            ...then('judging'),
          },
        },
        judging: { always: [troubled('releasing', 'pausing'), { target: 'rest' }] },
        pausing: { after: { releasingPause: 'rest' } },
      },
    },
  },
})

export const volume = defineMachine({
  machine,
  input: volumeInput,
  internal: [...INTERNAL, 'CHOSEN', 'UNPLACEABLE', 'MADE', 'RELEASED', 'CHUNKS_SET', 'STUCK'],
  events: volumeEvents,
  index: (record) => ({
    vid: record.vid,
    mode: codeModeOf(record.mode).name,
    status: record.standing,
    holder: record.holder?.token ?? null,
    isWantedBack: record.isWantedBack,
    chunkBytesUsed: record.chunkBytesUsed,
    chunkBytesMax: record.chunkBytesMax,
    hasRoom: record.chunkBytesUsed < record.chunkBytesMax * ROOMY,
    fittings: Object.keys(record.fittings).length,
    retired: record.retired.length,
    mover: record.mover,
    why: troubleOf(record),
  }),
  retention: { historyCount: HISTORY_COUNT },
})

export function volumeAddress(vid: number): string {
  return formatAddress('volume', String(vid))
}

/** Chunks that are ready since now, or asked for again, and so are kept for a time from now on. */
function kept(before: VolumeRecord, now: VolumeRecord, granted: VolumeEvent | undefined): Chunk[] {
  if (now.standing === 'creating') return []
  const renewed = granted?.type === 'ALLOC_UNIT' ? vuidParts(granted.vuid).index : undefined
  const isFresh = ({ index, epoch }: Chunk) => {
    const fitting = before.fittings[index]
    return fitting?.step !== 'ready' || fitting.epoch !== epoch
  }
  return fittingsAt(now, 'ready').filter((one) => one.index === renewed || isFresh(one))
}

/** What it waits for, or null. */
export function troubleOf({ troubles }: Pick<VolumeRecord, 'troubles'>): string | null {
  const { fitting, releasing, setting } = troubles
  return setting.why ?? fitting.why ?? releasing.why
}

const ROOMS: Readonly<Record<string, Room>> = {
  choose: 'fitting',
  make: 'fitting',
  release: 'releasing',
  lock: 'setting',
  unlock: 'setting',
}
const ENDED = /^xstate\.(done|error)\.actor\.(\w+)$/

/** The end of a task as an event: what it gives back, or why it was given up. */
function told(event: VolumeEvent): VolumeEvent {
  const [, how, id] = ENDED.exec(event.type) ?? []
  if (how === undefined || id === undefined) return event
  const { output, error } = event as unknown as { output: VolumeResult; error: unknown }
  if (how === 'done') return output
  const { message } = error as Partial<ErrorRecord>
  return { type: 'STUCK', room: ROOMS[id] ?? 'fitting', why: message ?? 'a task was given up' }
}

function pauseMs({ troubles }: VolumeRecord, room: Room): number {
  return Math.min(Math.max(1, troubles[room].tries), PAUSES_MAX) * PAUSE_MS
}

function unitsOf({ vid, units }: VolumeRecord) {
  return { vid, chunks: units }
}

function dueOf({ vid, retired }: VolumeRecord) {
  const due = retired.filter(({ isDue }) => isDue)
  return { vid, chunks: due.map(({ index, epoch, diskId }) => ({ index, epoch, diskId })) }
}

function makingOf(record: VolumeRecord) {
  const chunks = fittingsAt(record, 'chosen').map(({ excludes: _excludes, ...chunk }) => chunk)
  return { vid: record.vid, chunks, chunkBytesMax: record.chunkBytesMax }
}

/** Units stay apart from each other, and from chunks that are ready to take the place of one. */
function choiceOf(record: VolumeRecord) {
  const wanted = fittingsAt(record, 'wanted')
  const isWanted = new Set(wanted.map(({ index }) => index))
  const ready = fittingsAt(record, 'ready').map(({ excludes: _excludes, ...chunk }) => chunk)
  const replaced = record.units.filter(({ index }) => isWanted.has(index))
  const staying = record.units.filter(({ index }) => !isWanted.has(index))
  return {
    mode: record.mode,
    wanted: wanted.map(({ index }) => index),
    placed: [...staying, ...ready],
    replaced,
    // Not where the chunk is that is to be replaced.
    excludes: [
      ...new Set([
        ...wanted.flatMap(({ excludes }) => excludes),
        ...replaced.map((one) => one.diskId),
      ]),
    ],
  }
}
