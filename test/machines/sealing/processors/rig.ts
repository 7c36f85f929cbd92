/**
 * Processors with real children that do what their tasks say. Time is real and short; what the log got is
 * kept.
 */
import { existsSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import {
  type ProcessorConfig,
  ProcessorError,
  type ProcessorErrorKind,
  type ProcessorLimits,
  Processors,
  type ProcessorsDeps,
  processorConfig,
  type Trouble,
} from '../../../../machines/sealing/processors/index.ts'
import { openLog } from '../../../../src/index.ts'
import { until } from '../../../waiting.ts'

export const CHILD = join(import.meta.dirname, 'children/processor.mjs')
const PATIENCE_MS = 30_000

/** Far above what a busy machine needs, where nothing is to happen; far below, where something is. */
export const QUICK: Partial<ProcessorLimits> = {
  restartMinMs: 20,
  restartMaxMs: 80,
  killGraceMs: 300,
  closedMs: 100,
  cancelGraceMs: 150,
  abandonedMs: 100,
  unhealthyWaitMs: 20_000,
}

export interface HowItStarts {
  [name: string]: unknown
}

/** A child of that stage; `how` see children/processor.mjs. */
export function child(
  stage: string,
  how: HowItStarts = {},
  config: Partial<ProcessorConfig> = {},
): ProcessorConfig {
  const args = [CHILD, stage, JSON.stringify(how)]
  return processorConfig.parse({ bin: process.execPath, args, stableWaitMs: 20_000, ...config })
}

export class Rig {
  readonly directory = mkdtempSync(join(tmpdir(), 'processors-'))
  readonly ledgerDirectory = join(this.directory, 'ledger')
  readonly logged: Record<string, unknown>[] = []
  readonly troubles: Trouble[] = []
  readonly #opened: Processors[] = []

  open(
    config: Readonly<Record<string, readonly ProcessorConfig[]>>,
    deps: Partial<ProcessorsDeps> = {},
  ): Processors {
    const log = openLog({
      level: 'debug',
      destination: { write: (line) => this.logged.push(JSON.parse(line)) },
    })
    const { ledgerDirectory } = this
    const onTrouble = (trouble: Trouble) => this.troubles.push(trouble)
    const limits = { ...QUICK, ...deps.limits }
    const processors = new Processors(config, { log, ledgerDirectory, onTrouble, ...deps, limits })
    this.#opened.push(processors)
    return processors
  }

  /** Opened, started, and all children ready. */
  async ready(...given: Parameters<Rig['open']>): Promise<Processors> {
    const processors = this.open(...given)
    await processors.start()
    await allReady(processors)
    return processors
  }

  path(name: string): string {
    return join(this.directory, name)
  }

  touch(name: string): string {
    writeFileSync(this.path(name), '')
    return this.path(name)
  }

  async close(): Promise<void> {
    await Promise.all(this.#opened.map((one) => one.stop()))
    rmSync(this.directory, { recursive: true, force: true })
  }
}

export function allReady(processors: Processors): Promise<boolean> {
  return until(
    () => processors.report().every(({ state }) => state === 'ready'),
    { timeoutMs: PATIENCE_MS },
    () => JSON.stringify(processors.report()),
  )
}

/** Waits for a condition of the first lane. */
export function laneIs(
  processors: Processors,
  condition: (lane: ReturnType<Processors['report']>[number]) => boolean,
): Promise<boolean> {
  return until(
    () => condition(processors.report()[0]!),
    { timeoutMs: PATIENCE_MS },
    () => JSON.stringify(processors.report()),
  )
}

/** The error of a run that has to fail. */
export async function failureOf(run: Promise<unknown>): Promise<ProcessorError> {
  try {
    await run
  } catch (thrown) {
    if (thrown instanceof ProcessorError) return thrown
    throw thrown
  }
  throw new Error('it did not fail')
}

export async function kindOf(run: Promise<unknown>): Promise<ProcessorErrorKind> {
  return (await failureOf(run)).kind
}

export function sizeOf(path: string): number {
  return existsSync(path) ? statSync(path).size : 0
}

export function isRunning(pid: number): boolean {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8')
    return !/^\) [ZX]/.test(stat.slice(stat.lastIndexOf(')')))
  } catch {
    return false
  }
}
