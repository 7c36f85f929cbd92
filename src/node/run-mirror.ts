/**
 * What commands wrote on other nodes of the cluster. Decides: that it is fetched when somebody reads it
 * here, from the node on whose disk it lies, and kept here as the runs of workers elsewhere are.
 *
 * Files and not answers travel, since a reader goes through a log in many ways (by bytes, by lines, from
 * the end) and comes again: what is here already is not fetched again, and all of that reads files. Every
 * reading asks once more, so what was written before it is there. Nothing is fetched that nobody reads: a
 * log is most often read by nobody, so writing all of them to a shared place would cost more.
 */
import { readFileSync, statSync, utimesSync } from 'node:fs'
import { basename, join } from 'node:path'
import type { Log, RunEnd, RunUpload } from '../ports/index.ts'
import { toErrorRecord } from '../protocol/index.ts'
import {
  inspectRun,
  type KeptRun,
  RUN_FILES,
  readPart,
  type StreamName,
  streamSize,
  type UploadedRuns,
} from '../worker/index.ts'
import type { Peers } from './peers.ts'

export interface RunMirrorDeps {
  peers: Peers
  /** The other nodes that are there. */
  others: () => string[]
  /** The runs that lie on this node's own disk. */
  own: (address: string) => readonly KeptRun[]
  kept: UploadedRuns
  log: Log
}

/** A run as the node says that has it. */
interface Listed {
  run: string
  number: number
  startedAt: number
  stdout: number
  stderr: number
  end?: Pick<RunEnd, 'record' | 'endedAt'>
}

const PART_BYTES_MAX = 256 * 1024
const STREAMS: readonly StreamName[] = ['stdout', 'stderr']
const RECORD_FILE = 'attempt.json'

export class RunMirror {
  readonly #deps: RunMirrorDeps
  /** By address: the round under way, and the one that begins after it. */
  readonly #running = new Map<string, Promise<void>>()
  readonly #waiting = new Map<string, Promise<void>>()

  constructor(deps: RunMirrorDeps) {
    this.#deps = deps
    deps.peers.on('runs', (address) => deps.own(String(address)).map(listed))
    deps.peers.on('run-part', (...told) => this.#part(...told))
  }

  open(): void {
    this.#deps.kept.open()
  }

  close(): void {
    this.#deps.kept.close()
  }

  /** All runs of an actor on other nodes, with what they had written by now. */
  async runs(address: string): Promise<KeptRun[]> {
    await this.#nextRound(address)
    return this.#deps.kept.runs(address)
  }

  /** One that begins from now on: what was written before it is asked for is fetched. */
  #nextRound(address: string): Promise<void> {
    const waiting = this.#waiting.get(address)
    if (waiting !== undefined) return waiting
    const next = (this.#running.get(address) ?? Promise.resolve()).then(async () => {
      this.#waiting.delete(address)
      const round = this.#round(address)
      this.#running.set(address, round)
      await round
      if (this.#running.get(address) === round) this.#running.delete(address)
    })
    this.#waiting.set(address, next)
    return next
  }

  async #round(address: string): Promise<void> {
    const { others, log } = this.#deps
    const fetched = others().map(async (node) => {
      try {
        await this.#fetchFrom(node, address)
      } catch (thrown) {
        const error = toErrorRecord(thrown)
        log.warn({ node, address, error }, 'what a command wrote on another node is not all here')
      }
    })
    await Promise.all(fetched)
  }

  async #fetchFrom(node: string, address: string): Promise<void> {
    const answer = await this.#deps.peers.ask(node, 'runs', address)
    for (const run of (answer ?? []) as Listed[]) await this.#fetch(node, address, run)
  }

  async #fetch(node: string, address: string, listed: Listed): Promise<void> {
    const { kept } = this.#deps
    const { run, number, startedAt, end, stdout, stderr } = listed
    const upload: RunUpload = {
      ...{ address, number, startedAt, taskId: '', token: '', parts: [] },
      // Two nodes may have runs of one name: of a worker that went from one to the other.
      run: `${node}.${run}`,
    }
    if (!kept.knows(node, upload)) {
      kept.begin(node, upload)
      this.#stamp(upload)
    }
    let there = await kept.append(upload)
    for (const stream of STREAMS) {
      while (there[stream] < listed[stream] && !there.full?.includes(stream)) {
        const offset = there[stream]
        const bytes = await this.#ask(node, address, run, stream, offset)
        if (bytes === undefined || bytes.length === 0) return
        there = await kept.append({ ...upload, parts: [{ stream, offset, bytes }] })
      }
    }
    if (end) await kept.append({ ...upload, end: { ...end, sizes: { stdout, stderr } } })
  }

  /** Runs are told apart by when they began, wherever that was. */
  #stamp({ address, run, startedAt }: RunUpload): void {
    const found = this.#deps.kept.runs(address).find(({ directory }) => basename(directory) === run)
    if (!found) return
    utimesSync(join(found.directory, RECORD_FILE), startedAt / 1_000, startedAt / 1_000)
  }

  async #ask(node: string, ...told: unknown[]): Promise<Uint8Array | undefined> {
    const [bytes] = ((await this.#deps.peers.ask(node, 'run-part', ...told)) ?? []) as unknown[]
    return bytes instanceof Uint8Array ? bytes : undefined
  }

  /** Only of runs that are listed: a name is looked up, never a path. */
  async #part(...told: unknown[]): Promise<[Uint8Array] | []> {
    const [address, run, name, offset] = told
    const stream = STREAMS.find((one) => one === name)
    const runs = this.#deps.own(String(address))
    const found = runs.find(({ directory }) => basename(directory) === run)
    if (!found || !stream || !Number.isSafeInteger(offset) || Number(offset) < 0) return []
    const { bytes } = await readPart(found.directory, stream, Number(offset), PART_BYTES_MAX)
    return [bytes]
  }
}

/** The end first: what is read after it is all that there is. */
function listed({ number, directory }: KeptRun): Listed {
  const state = inspectRun(directory)
  const end =
    state.kind === 'ended'
      ? {
          record: readFileSync(join(directory, RUN_FILES.exit), 'utf8'),
          endedAt: state.exit.endedAt,
        }
      : undefined
  return {
    ...{ run: basename(directory), number },
    startedAt: statSync(join(directory, RECORD_FILE), { throwIfNoEntry: false })?.mtimeMs ?? 0,
    stdout: streamSize(directory, 'stdout'),
    stderr: streamSize(directory, 'stderr'),
    ...(end && { end }),
  }
}
