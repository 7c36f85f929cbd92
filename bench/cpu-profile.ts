/**
 * Where CPU time goes: a profile of this process's main thread by `node:inspector`, and the CPU of its
 * threads by /proc.
 *
 * Decides: whose a sample is. Frames of libraries and of Node count for the nearest caller of ours, as
 * msgpackr is the codec's when the codec calls and the record's when a record is packed.
 */
import { readdirSync, readFileSync } from 'node:fs'
import { type HeapProfiler, type Profiler, Session } from 'node:inspector'

export interface ProfileShare {
  name: string
  /** Self time in µs, or bytes allocated. */
  amount: number
}

const SAMPLING_US = 250
const SAMPLING_BYTES = 4_096

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

/** Bytes that this thread allocates while `work` runs, what is collected meanwhile included. */
export async function allocationsOf(
  work: () => Promise<unknown>,
  sorter: Sorter,
): Promise<{ parts: ProfileShare[]; functions: ProfileShare[] }> {
  const session = new Session()
  session.connect()
  const post = <T>(method: string, params: object = {}) =>
    new Promise<T>((resolve, reject) => {
      session.post(method, params, (error, result) =>
        error === null ? resolve(result as T) : reject(error),
      )
    })
  await post('HeapProfiler.startSampling', {
    samplingInterval: SAMPLING_BYTES,
    includeObjectsCollectedByMajorGC: true,
    includeObjectsCollectedByMinorGC: true,
  })
  await work()
  const { profile } = await post<{ profile: HeapProfiler.SamplingHeapProfile }>(
    'HeapProfiler.stopSampling',
  )
  session.disconnect()
  const parts = new Map<string, number>()
  const functions = new Map<string, number>()
  const visit = (at: HeapProfiler.SamplingHeapProfileNode, parent: Node | undefined) => {
    const { functionName, url } = at.callFrame
    const node: Node = { frame: { functionName, path: pathOf(url) }, parent }
    add(node, at.selfSize, sorter, parts, functions)
    for (const child of at.children) visit(child, node)
  }
  visit(profile.head, undefined)
  return { parts: sorted(parts), functions: sorted(functions) }
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
    add(node, us, sorter, parts, functions)
  }
  return { parts: sorted(parts), functions: sorted(functions) }
}

function add(
  node: Node,
  amount: number,
  sorter: Sorter,
  parts: Map<string, number>,
  functions: Map<string, number>,
): void {
  const part = partOf(node, sorter)
  const name = `${node.frame.functionName || '(anonymous)'}  ${node.frame.path}`
  parts.set(part, (parts.get(part) ?? 0) + amount)
  functions.set(name, (functions.get(name) ?? 0) + amount)
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
  return [...times].map(([name, amount]) => ({ name, amount })).sort((a, b) => b.amount - a.amount)
}

export interface ThreadTime {
  thread: number
  name: string
  us: number
}

/** Node makes the threads of V8 (garbage, compiler) first; those of libuv write LMDB and files. */
function kindOf(position: number): string {
  if (position === 0) return 'main'
  return position <= V8_THREADS ? 'V8 (GC helper, compiler)' : 'libuv pool (LMDB, fdatasync)'
}
/** One that delays tasks, and four that work (`--v8-pool-size`). */
const V8_THREADS = 5

/** CPU of every thread of this process so far, in steps of 10 ms. */
export function threadTimes(): ThreadTime[] {
  const threads = readdirSync('/proc/self/task')
    .map(Number)
    .sort((a, b) => a - b)
  return threads.map((thread, position) => {
    const line = readFileSync(`/proc/self/task/${thread}/stat`, 'utf8')
    const fields = line.slice(line.lastIndexOf(')') + 2).split(' ')
    const ticks = Number(fields[11]) + Number(fields[12])
    return { thread, name: kindOf(position), us: ticks * 1e4 }
  })
}

/** Of this process so far. */
export interface ThreadsCpu {
  mainUs: number
  otherUs: number
}

export function cpuOfThreads(): ThreadsCpu {
  const [main, ...others] = threadTimes()
  return { mainUs: main?.us ?? 0, otherUs: others.reduce((sum, { us }) => sum + us, 0) }
}
