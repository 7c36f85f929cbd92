/**
 * Whose turn it is to have its disk emptied. Decides: that jobs are served in the order in which they asked, so
 * many of a kind at a time and none while its switch is closed, and what those are told that wait. Pure.
 */
import { z } from 'zod'
import { JOB_KINDS, type JobKind } from './job-kinds.ts'

const line = z.array(z.object({ job: z.string().min(1), isInHand: z.boolean() }))
/** Those in hand, and those that wait, by the age of their asking. */
export type Line = z.output<typeof line>

export const placesContext = z.object({
  lines: z.object({ disk_drop: line, disk_repair: line }),
  isOn: z.object({ disk_drop: z.boolean(), disk_repair: z.boolean() }),
  /** Of each kind; 0 until it is known which jobs have their disks in hand. */
  concurrency: z.int().min(0),
})
export type Places = z.output<typeof placesContext>

/** For one job each. */
export type Told =
  | { type: 'PLACE'; isOn: boolean }
  | { type: 'QUEUED'; why: string }
  | { type: 'SWITCH'; isOn: boolean }
  | { type: 'LOOK' }

/** A job that empties its disk. */
export interface InHand {
  kind: JobKind
  job: string
}

export interface Served {
  next: Places
  messages: { to: string; event: Told }[]
}

export function newPlaces(concurrency = 0): Places {
  return {
    lines: { disk_drop: [], disk_repair: [] },
    isOn: { disk_drop: false, disk_repair: false },
    concurrency,
  }
}

/** Asked again, whoever is in hand is told so again. */
export function asked(now: Places, kind: JobKind, job: string): Served {
  const known = now.lines[kind].find((one) => one.job === job)
  if (known?.isInHand) return { next: now, messages: [place(now, kind, job)] }
  const joined = known ? now : withLine(now, kind, [...now.lines[kind], { job, isInHand: false }])
  const served = serve(joined, kind)
  const isServed = served.messages.some(({ to }) => to === job)
  if (isServed) return served
  return { ...served, messages: [...served.messages, queued(served.next, kind, job)] }
}

/**
 * These empty their disks already, and have their places from a watch that is gone. They are told how their switch
 * stands: since then it may have changed.
 */
export function adopted(now: Places, jobs: readonly InHand[]): Served {
  return jobs.reduce<Served>(
    ({ next, messages }, { kind, job }) => {
      const line = next.lines[kind]
      if (line.some((one) => one.job === job && one.isInHand)) return { next, messages }
      const others = line.filter((one) => one.job !== job)
      const told = { to: job, event: { type: 'SWITCH', isOn: next.isOn[kind] } as const }
      return {
        next: withLine(next, kind, [{ job, isInHand: true }, ...others]),
        messages: [...messages, told],
      }
    },
    { next: now, messages: [] },
  )
}

/** Given back, or nobody has it any more. */
export function left(now: Places, jobs: readonly string[]): Served {
  return JOB_KINDS.reduce<Served>(
    ({ next, messages }, kind) => {
      const line = next.lines[kind].filter(({ job }) => !jobs.includes(job))
      if (line.length === next.lines[kind].length) return { next, messages }
      const served = serve(withLine(next, kind, line), kind)
      return { next: served.next, messages: [...messages, ...served.messages] }
    },
    { next: now, messages: [] },
  )
}

export function switched(now: Places, kind: JobKind, isOn: boolean): Served {
  if (now.isOn[kind] === isOn) return { next: now, messages: [] }
  const next = { ...now, isOn: { ...now.isOn, [kind]: isOn } }
  const inHand = next.lines[kind].filter((one) => one.isInHand)
  const told = inHand.map(({ job: to }) => ({ to, event: { type: 'SWITCH', isOn } as const }))
  const served = serve(next, kind)
  return {
    next: served.next,
    messages: [...told, ...served.messages, ...waiting(served.next, kind)],
  }
}

/** More at once are served at once; where it is fewer, none is stopped. */
export function resized(now: Places, concurrency: number): Served {
  if (now.concurrency === concurrency) return { next: now, messages: [] }
  const served = JOB_KINDS.map((kind) => (places: Places) => serve(places, kind))
  return served.reduce<Served>(
    ({ next, messages }, step) => {
      const one = step(next)
      return { next: one.next, messages: [...messages, ...one.messages] }
    },
    { next: { ...now, concurrency }, messages: [] },
  )
}

export function jobsOf({ lines }: Places): string[] {
  return JOB_KINDS.flatMap((kind) => lines[kind].map(({ job }) => job))
}

/** Those that have a place. */
export function inHandOf({ lines }: Places): string[] {
  const served = JOB_KINDS.flatMap((kind) => lines[kind].filter(({ isInHand }) => isInHand))
  return served.map(({ job }) => job)
}

function serve(now: Places, kind: JobKind): Served {
  const line = now.lines[kind]
  const free = now.isOn[kind] ? now.concurrency - line.filter((one) => one.isInHand).length : 0
  const chosen = line.filter((one) => !one.isInHand).slice(0, Math.max(0, free))
  if (chosen.length === 0) return { next: now, messages: [] }
  const jobs = new Set(chosen.map(({ job }) => job))
  const next = withLine(
    now,
    kind,
    line.map((one) => (jobs.has(one.job) ? { ...one, isInHand: true } : one)),
  )
  return { next, messages: chosen.map(({ job }) => place(next, kind, job)) }
}

function waiting(now: Places, kind: JobKind): Served['messages'] {
  return now.lines[kind].filter((one) => !one.isInHand).map(({ job }) => queued(now, kind, job))
}

function place({ isOn }: Places, kind: JobKind, to: string): Served['messages'][number] {
  return { to, event: { type: 'PLACE', isOn: isOn[kind] } }
}

function queued(now: Places, kind: JobKind, to: string): Served['messages'][number] {
  const why = now.isOn[kind] ? fullText(now.concurrency) : `the switch ${kind} is closed`
  return { to, event: { type: 'QUEUED', why } }
}

function fullText(concurrency: number): string {
  if (concurrency === 0) return 'it is not known yet which disks are in hand'
  const which = concurrency === 1 ? 'another disk is' : `${concurrency} other disks are`
  return `${which} in hand: diskConcurrency says how many may be`
}

function withLine(now: Places, kind: JobKind, line: Line): Places {
  return { ...now, lines: { ...now.lines, [kind]: line } }
}
