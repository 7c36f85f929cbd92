/**
 * The registry in memory. Several nodes of one process share one.
 *
 * Decides: each operation happens when it arrives (through `clock.defer`), in the order of calls;
 * a watch is told after the change. Test control: `failNext` makes outcomes unknown, with the
 * change made or not.
 */
import type {
  ClaimOutcome,
  Clock,
  Registry,
  RegistryListOutcome,
  RegistryReadOutcome,
} from '../../ports/index.ts'
import { copyOf } from './bytes.ts'

export interface RegistryFault {
  on: 'claim' | 'put' | 'get' | 'list' | 'remove'
  /** Whether the change is made although its outcome is unknown. */
  happened: boolean
  /** How many operations it meets; 1 when absent. */
  count?: number
}

interface Watch {
  prefix: string
  changed: (key: string) => void
}

export class MemoryRegistry implements Registry {
  private readonly clock: Clock
  private readonly values = new Map<string, Uint8Array>()
  private readonly watches = new Set<Watch>()
  private faults: { on: RegistryFault['on']; happened: boolean; left: number }[] = []

  constructor(options: { clock: Clock }) {
    this.clock = options.clock
  }

  claim(key: string, value: Uint8Array, done: (outcome: ClaimOutcome) => void): void {
    const bytes = copyOf(value)
    this.clock.defer(() => {
      const fault = this.takeFault('claim')
      const winner = this.values.get(key)
      if (winner === undefined && fault?.happened !== false) this.set(key, bytes)
      if (fault !== undefined) done({ kind: 'unknown', why: 'injected' })
      else if (winner === undefined) done({ kind: 'won' })
      else done({ kind: 'lost', value: copyOf(winner) })
    })
  }

  put(key: string, value: Uint8Array, done: (outcome: 'put' | 'unknown') => void): void {
    const bytes = copyOf(value)
    this.clock.defer(() => {
      const fault = this.takeFault('put')
      if (fault?.happened !== false) this.set(key, bytes)
      done(fault === undefined ? 'put' : 'unknown')
    })
  }

  get(key: string, done: (outcome: RegistryReadOutcome) => void): void {
    this.clock.defer(() => {
      const value = this.values.get(key)
      if (this.takeFault('get') !== undefined) done({ kind: 'unknown', why: 'injected' })
      else if (value === undefined) done({ kind: 'absent' })
      else done({ kind: 'found', value: copyOf(value) })
    })
  }

  list(prefix: string, done: (outcome: RegistryListOutcome) => void): void {
    this.clock.defer(() => {
      if (this.takeFault('list') !== undefined) {
        done({ kind: 'unknown', why: 'injected' })
        return
      }
      const keys = [...this.values.keys()].filter((key) => key.startsWith(prefix)).sort()
      const entries = keys.map((key) => ({ key, value: copyOf(this.values.get(key)!) }))
      done({ kind: 'listed', entries })
    })
  }

  remove(key: string, done: (outcome: 'removed' | 'unknown') => void): void {
    this.clock.defer(() => {
      const fault = this.takeFault('remove')
      if (fault?.happened !== false && this.values.delete(key)) this.tell(key)
      done(fault === undefined ? 'removed' : 'unknown')
    })
  }

  watch(prefix: string, changed: (key: string) => void): { stop(): void } {
    const watch: Watch = { prefix, changed }
    this.watches.add(watch)
    return { stop: () => void this.watches.delete(watch) }
  }

  failNext(fault: RegistryFault): void {
    this.faults.push({ on: fault.on, happened: fault.happened, left: fault.count ?? 1 })
  }

  private takeFault(on: RegistryFault['on']): { happened: boolean } | undefined {
    if (this.faults.length === 0) return undefined
    const fault = this.faults.find((candidate) => candidate.on === on)
    if (fault !== undefined && --fault.left === 0) {
      this.faults = this.faults.filter((candidate) => candidate !== fault)
    }
    return fault
  }

  private set(key: string, value: Uint8Array): void {
    this.values.set(key, value)
    this.tell(key)
  }

  private tell(key: string): void {
    for (const watch of this.watches) {
      if (!key.startsWith(watch.prefix)) continue
      this.clock.defer(() => {
        if (this.watches.has(watch)) watch.changed(key)
      })
    }
  }
}
