/**
 * Where CPU time goes: a profile of this process's main thread by `node:inspector`, and the CPU of its
 * threads by /proc.
 *
 * Decides: whose a sample is. Frames of libraries and of Node count for the nearest caller of ours, as
 * msgpackr is the codec's when the codec calls and the record's when a record is packed.
 */
import { readdirSync, readFileSync } from 'node:fs'
import { type Profiler, Session } from 'node:inspector'

export interface ProfileShare {
  name: string
  /** Self time in µs. */
  us: number
}

const SAMPLING_US = 250

/** A frame as the rules see it: the path below our code, or what stands for it. */
export interface Frame {
  path: string
  functionName: string
}

/** The name of the part that a frame belongs to; undefined asks its caller. */
export type Sorter = (frame: Frame, callers: readonly Frame[]) => string | undefined

export class CpuProfile {
  readonly #session = new Session()

  async start(): Promise<void> {
    this.#session.connect()
    await this.#post('Profiler.enable')
    await this.#post('Profiler.setSamplingInterval', { interval: SAMPLING_US })
    await this.#post('Profiler.start')
  }

  async stop(): Promise<Profiler.Profile> {
    const { profile } = (await this.#post('Profiler.stop')) as { profile: Profiler.Profile }
    this.#session.disconnect()
    return profile
  }

  #post(method: string, params: object = {}): Promise<unknown> {
    return new Promise((resolve, reject) => {
      this.#session.post(method, params, (error, result) =>
        error === null ? resolve(result) : reject(error),
      )
    })
  }
}

interface Node {
  frame: Frame
  parent: Node | undefined
}

/** Self times by part and by function, the largest first. */
export function sharesOf(
  profile: Profiler.Profile,
  sorter: Sorter,
): { parts: ProfileShare[]; functions: ProfileShare[] } {
  const nodes = nodesOf(profile)
  const parts = new Map<string, number>()
  const functions = new Map<string, number>()
  const deltas = profile.timeDeltas ?? []
  for (const [at, id] of (profile.samples ?? []).entries()) {
    const node = nodes.get(id)
    if (node === undefined) continue
    // The sample stands for the time until the next one.
    const us = deltas[at + 1] ?? SAMPLING_US
    const part = partOf(node, sorter)
    const name = `${node.frame.functionName || '(anonymous)'}  ${node.frame.path}`
    parts.set(part, (parts.get(part) ?? 0) + us)
    functions.set(name, (functions.get(name) ?? 0) + us)
  }
  return { parts: sorted(parts), functions: sorted(functions) }
}

function nodesOf(profile: Profiler.Profile): Map<number, Node> {
  const nodes = new Map<number, Node>()
  for (const { id, callFrame } of profile.nodes) {
    const { functionName, url } = callFrame
    nodes.set(id, { frame: { functionName, path: pathOf(url) }, parent: undefined })
  }
  for (const { id, children } of profile.nodes) {
    for (const child of children ?? []) {
      const node = nodes.get(child)
      if (node !== undefined) node.parent = nodes.get(id)
    }
  }
  return nodes
}

/** `src/…`, `machines/…`, `bench/…`, `node_modules/…`, or Node's own `node:…`. */
function pathOf(url: string): string {
  const packages = url.lastIndexOf('/node_modules/')
  if (packages >= 0) return url.slice(packages + 1)
  return /\/bench-\d+\/(.*)$/.exec(url)?.[1] ?? url
}

function partOf(node: Node, sorter: Sorter): string {
  const callers: Frame[] = []
  for (let above = node.parent; above !== undefined; above = above.parent) callers.push(above.frame)
  for (let depth = -1; depth < callers.length; depth++) {
    const frame = depth < 0 ? node.frame : callers[depth]!
    const part = sorter(frame, callers.slice(depth + 1))
    if (part !== undefined) return part
  }
  return 'other'
}

function sorted(times: Map<string, number>): ProfileShare[] {
  return [...times].map(([name, us]) => ({ name, us })).sort((a, b) => b.us - a.us)
}

export interface ThreadTime {
  thread: number
  name: string
  us: number
}

/** CPU of every thread of this process so far, in steps of 10 ms. */
export function threadTimes(): ThreadTime[] {
  return readdirSync('/proc/self/task').map((thread) => {
    const line = readFileSync(`/proc/self/task/${thread}/stat`, 'utf8')
    const end = line.lastIndexOf(')')
    const fields = line.slice(end + 2).split(' ')
    const ticks = Number(fields[11]) + Number(fields[12])
    return { thread: Number(thread), name: line.slice(line.indexOf('(') + 1, end), us: ticks * 1e4 }
  })
}
