/**
 * Charts that nobody thought of: drawn from the seed, as data, and built for both versions.
 *
 * Decides: the shapes of charts, and that whatever moves by itself (timers, results, `always`, the
 * end of a compound state) moves forward only, so that every chart comes to rest. Leaves to others:
 * what its actions do (chart-actions.ts), what is asked of it (chart-work.ts).
 */
import type { SimRandom } from './random.ts'

/** A transition as XState's configuration has it, with names only. */
export interface MovePlan {
  target?: string
  guard?: string
  reenter?: boolean
  actions: readonly (string | { type: string; params: { word: string } })[]
}

/** A state as XState's configuration has it. */
export interface StatePlan {
  type?: 'parallel' | 'final' | 'history'
  history?: 'shallow' | 'deep'
  initial?: string
  states?: Record<string, StatePlan>
  on?: Record<string, MovePlan>
  after?: Record<string, MovePlan>
  always?: MovePlan
  onDone?: MovePlan
  invoke?: InvokePlan
  entry?: MovePlan['actions']
  exit?: MovePlan['actions']
}

export interface InvokePlan {
  src: 'work' | 'kid'
  id: string
  input: { ms: number }
  onDone: MovePlan
  onError?: MovePlan
}

/** Plain data: it stands in the list of events, where checkers find it. */
export interface ChartPlan {
  name: string
  root: StatePlan
  attemptsMax: number
  /** The state that version 2 calls otherwise. */
  renamed: string
}

export const EVENTS = ['E1', 'E2', 'E3', 'E4'] as const
const DEPTH_MAX = 3
/** A delay by its name, or in milliseconds. */
const DELAYS = ['soon', 'late', '40', '300', '1500']
const NEW_NAME = 'renamed'

interface Shape {
  key: string
  kind: 'atomic' | 'compound' | 'parallel' | 'final' | 'shallow' | 'deep'
  parent: Shape | undefined
  children: Shape[]
}

export function drawCharts(random: SimRandom, count: number): ChartPlan[] {
  return Array.from({ length: count }, (_, index) =>
    new Drawing(`r${index + 1}`, random.fork(`chart ${index}`)).plan(),
  )
}

class Drawing {
  readonly #name: string
  readonly #random: SimRandom
  readonly #shapes: Shape[] = []

  constructor(name: string, random: SimRandom) {
    this.#name = name
    this.#random = random
  }

  plan(): ChartPlan {
    const root = this.#grow('compound', undefined, 0)
    const states = this.#shapes.filter(({ parent, kind }) => parent && !isHistory(kind))
    const { key } = this.#random.pick(states)
    const attemptsMax = this.#random.between(1, 3)
    return { name: this.#name, root: this.#stateOf(root), attemptsMax, renamed: key }
  }

  #grow(kind: Shape['kind'], parent: Shape | undefined, depth: number): Shape {
    const random = this.#random
    const shape: Shape = { key: `s${this.#shapes.length}`, kind, parent, children: [] }
    this.#shapes.push(shape)
    const add = (child: Shape['kind']) => shape.children.push(this.#grow(child, shape, depth + 1))
    if (kind === 'compound') {
      for (let left = random.between(2, 3); left > 0; left--) add(this.#kindAt(depth + 1))
      if (random.chance(0.4)) add('final')
      if (depth > 0 && random.chance(0.5)) add(random.pick(['shallow', 'deep'] as const))
    } else if (kind === 'parallel') {
      for (let left = 2; left > 0; left--) add(random.chance(0.8) ? 'compound' : 'atomic')
    }
    return shape
  }

  #kindAt(depth: number): Shape['kind'] {
    const fraction = depth < DEPTH_MAX ? this.#random.fraction() : 1
    if (fraction < 0.2) return 'parallel'
    return fraction < 0.5 ? 'compound' : 'atomic'
  }

  #stateOf(shape: Shape): StatePlan {
    const { kind, key, parent, children } = shape
    const words = parent && { entry: [told(`in ${key}`)], exit: [told(`out ${key}`)] }
    if (kind === 'final') return { type: 'final', entry: [told(`in ${key}`)] }
    if (isHistory(kind)) return { type: 'history', history: kind }
    const state: StatePlan = { ...words, on: this.#moves(shape) }
    const isOver = children.some((child) => child.kind === 'final') || kind === 'parallel'
    if (isOver && parent) this.#ahead(shape, 1, (move) => Object.assign(state, { onDone: move }))
    if (parent) this.#addWhatGoesByItself(state, shape)
    if (kind === 'parallel') state.type = 'parallel'
    else if (children[0]) state.initial = children[0].key
    if (children.length > 0) {
      state.states = Object.fromEntries(children.map((child) => [child.key, this.#stateOf(child)]))
    }
    return state
  }

  #addWhatGoesByItself(state: StatePlan, shape: Shape): void {
    const random = this.#random
    const isLeaf = shape.kind === 'atomic'
    this.#ahead(shape, isLeaf ? 0.35 : 0.15, (move) => {
      state.after = { [random.pick(DELAYS)]: move }
    })
    this.#ahead(shape, isLeaf ? 0.4 : 0.2, (onDone) => {
      const src = random.pick(['work', 'work', 'kid'] as const)
      const input = { ms: random.between(20, 800) }
      state.invoke = { src, id: `${src}_${shape.key}`, input, onDone }
      this.#ahead(shape, 0.5, (onError) => Object.assign(state.invoke!, { onError }))
    })
    this.#ahead(shape, isLeaf ? 0.15 : 0, (move) => {
      state.always = { ...move, guard: 'third' }
    })
  }

  /** To where no way of its own leads back: a later state of a compound state that holds it. */
  #ahead(shape: Shape, chance: number, use: (move: MovePlan) => void): void {
    if (!this.#random.chance(chance)) return
    const places: Shape[] = []
    for (let at = shape; at.parent; at = at.parent) {
      if (at.parent.kind !== 'compound') continue
      const { children } = at.parent
      places.push(...children.slice(children.indexOf(at) + 1))
    }
    const open = places.filter(({ kind }) => !isHistory(kind))
    if (open.length > 0) use(this.#moveTo(this.#random.pick(open)))
  }

  /** What callers send may lead anywhere. */
  #moves(shape: Shape): Record<string, MovePlan> {
    const random = this.#random
    const moves: Record<string, MovePlan> = {}
    const places = this.#shapes.filter(({ parent }) => parent)
    for (const type of shape.parent ? EVENTS : []) {
      if (!random.chance(shape.kind === 'atomic' ? 0.4 : 0.15)) continue
      const move = this.#moveTo(random.pick(places))
      if (random.chance(0.15)) delete move.target
      else if (random.chance(0.2)) move.reenter = true
      if (random.chance(0.2)) move.guard = 'marked'
      moves[type] = move
    }
    return moves
  }

  #moveTo(shape: Shape): MovePlan {
    const path: string[] = []
    for (let at = shape; at.parent; at = at.parent) path.unshift(at.key)
    return { target: [`#${this.#name}`, ...path].join('.'), actions: ['note'] }
  }
}

function told(word: string): { type: string; params: { word: string } } {
  return { type: 'note', params: { word } }
}

function isHistory(kind: Shape['kind']): kind is 'shallow' | 'deep' {
  return kind === 'shallow' || kind === 'deep'
}

/** What version 2 makes of anything that names states. */
export function renamedIn<T>(plan: ChartPlan, value: T): T {
  const name = new RegExp(`\\b${plan.renamed}\\b`, 'g')
  return JSON.parse(JSON.stringify(value).replace(name, NEW_NAME)) as T
}

export function rootOf(plan: ChartPlan, version: number): StatePlan {
  return version === 1 ? plan.root : renamedIn(plan, plan.root)
}

/** All states that an actor can be resumed at, as operators write them. */
export function pathsOf(state: StatePlan, path = ''): string[] {
  return Object.entries(state.states ?? {}).flatMap(([key, child]) => {
    if (child.type === 'history') return []
    const own = path === '' ? key : `${path}.${key}`
    return [own, ...pathsOf(child, own)]
  })
}

/** In short: `@` a timer, `$` a task, `$+` one with a way out, `%` a child, `!` always, `.` final. */
export function briefOf({ name, root, attemptsMax, renamed }: ChartPlan): string {
  return `${name}${briefOfState(root)} attempts ${attemptsMax} renames ${renamed}`
}

function briefOfState(state: StatePlan): string {
  const { type, history, invoke, after, always, states } = state
  const marks = [
    type === 'final' ? '.' : '',
    history === undefined ? '' : history === 'deep' ? 'H' : 'h',
    after ? `@${Object.keys(after)[0]}` : '',
    invoke ? `${invoke.src === 'work' ? '$' : '%'}${invoke.onError ? '+' : ''}` : '',
    always ? '!' : '',
  ].join('')
  if (!states) return marks
  const inside = Object.entries(states).map(([key, child]) => `${key}${briefOfState(child)}`)
  return `${marks}${type === 'parallel' ? `[${inside.join(' | ')}]` : `(${inside.join(' ')})`}`
}
