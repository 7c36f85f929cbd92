/**
 * From what is there to what is wanted. Decides: which units are computed from which, in which order:
 * in the AZ alone (local stripe) where that is enough, over the whole blob otherwise; and when too little
 * is left. Encoding is the same question, with the data there and all parity wanted. Pure: no bytes.
 */
import { type CodeMode, localStripes, unitCount } from '../codes/index.ts'

/** One piece of work, of which all that it reads is there before it begins. */
export type Step = CodeStep | CopyStep

/** Reed–Solomon over some units of the blob. */
export interface CodeStep {
  kind: 'code'
  /** The units that are the data of this code, and those that are its parity, both in its order. */
  data: readonly number[]
  parity: readonly number[]
  /** As many of them as there are data, all whole: what is read. */
  sources: readonly number[]
  wanted: readonly number[]
}

export interface CopyStep {
  kind: 'copy'
  source: number
  wanted: readonly number[]
}

/** Undefined when what is present is too little. */
export function rebuildPlan(
  mode: CodeMode,
  present: readonly number[],
  wanted: readonly number[],
): readonly Step[] | undefined {
  const missing = wanted.filter((unit) => !present.includes(unit))
  if (missing.length === 0) return []
  if (mode.kind === 'erasure') return new Planner(mode, present).plan(missing)
  const [source] = present
  return source === undefined ? undefined : [{ kind: 'copy', source, wanted: missing }]
}

/** Pure: whether `rebuild` would do it. */
export function canRebuild(
  mode: CodeMode,
  present: readonly number[],
  wanted: readonly number[],
): boolean {
  return rebuildPlan(mode, present, wanted) !== undefined
}

/** Which of the present units `rebuild` reads: nobody has to fetch others. Undefined when it cannot. */
export function rebuildSources(
  mode: CodeMode,
  present: readonly number[],
  wanted: readonly number[],
): number[] | undefined {
  const plan = rebuildPlan(mode, present, wanted)
  const read = plan?.flatMap((step) => (step.kind === 'copy' ? [step.source] : step.sources))
  return read && present.filter((unit) => read.includes(unit))
}

interface Code {
  data: readonly number[]
  parity: readonly number[]
}

class Planner {
  readonly #whole: Code
  readonly #locals: readonly Code[]
  readonly #known: Set<number>
  readonly #steps: Step[] = []

  constructor(mode: CodeMode, present: readonly number[]) {
    const all = Array.from({ length: unitCount(mode) }, (_, unit) => unit)
    this.#whole = {
      data: all.slice(0, mode.data),
      parity: all.slice(mode.data, mode.data + mode.parity),
    }
    this.#locals = localStripes(mode).map(({ units, locals }) => ({ data: units, parity: locals }))
    this.#known = new Set(present)
  }

  plan(wanted: readonly number[]): readonly Step[] | undefined {
    for (const local of this.#locals) this.#restore(local, this.#missing(membersOf(local), wanted))
    if (this.#missing(wanted).length === 0) return this.#steps
    // Local parity is made of its stripe: what that lacks comes first.
    const needed = new Set(this.#missing(wanted))
    for (const { data, parity } of this.#locals) {
      if (parity.some((unit) => needed.has(unit))) for (const unit of data) needed.add(unit)
    }
    if (!this.#isEnough(this.#whole)) {
      for (const local of this.#locals) this.#restore(local, this.#missing(local.data))
    }
    if (!this.#restore(this.#whole, this.#missing(membersOf(this.#whole), [...needed]))) {
      return undefined
    }
    for (const local of this.#locals) this.#restore(local, this.#missing(local.parity, wanted))
    return this.#steps
  }

  /** False when too few of its units are known: then nothing is planned. */
  #restore(code: Code, wanted: readonly number[]): boolean {
    if (wanted.length === 0) return true
    if (!this.#isEnough(code)) return false
    const sources = this.#knownOf(code).slice(0, code.data.length)
    this.#steps.push({ kind: 'code', ...code, sources, wanted })
    for (const unit of wanted) this.#known.add(unit)
    return true
  }

  #isEnough(code: Code): boolean {
    return this.#knownOf(code).length >= code.data.length
  }

  /** Data first: what is there need not be computed. */
  #knownOf(code: Code): number[] {
    return membersOf(code).filter((unit) => this.#known.has(unit))
  }

  #missing(units: readonly number[], among: readonly number[] = units): number[] {
    return units.filter((unit) => among.includes(unit) && !this.#known.has(unit))
  }
}

function membersOf({ data, parity }: Code): number[] {
  return [...data, ...parity]
}
