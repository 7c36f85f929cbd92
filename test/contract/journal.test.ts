import { MemoryJournal, VirtualClock } from '../../src/adapters/memory/index.ts'
import { journalSuite } from './journal.suite.ts'

const variants = { memory: undefined, 'memory, with latency': () => 3 }

for (const [name, latencyMs] of Object.entries(variants)) {
  journalSuite(name, async () => {
    const clock = new VirtualClock()
    const journal = new MemoryJournal({ clock, ...(latencyMs && { latencyMs }) })
    return {
      journal,
      connect: async () => journal.connect(),
      elapse: (ms) => clock.settle(ms),
      close: async () => {},
    }
  })
}
