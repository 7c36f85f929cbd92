import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { LmdbStore } from '../../src/adapters/lmdb/index.ts'
import { MemoryStore } from '../../src/adapters/memory/index.ts'
import { SystemClock } from '../../src/adapters/system/index.ts'
import { type StoreHarness, type StoreOptions, storeSuite } from './store.suite.ts'

storeSuite('memory', async (options) => memoryHarness({ ...options }))
storeSuite('memory, slow to flush', async (options) =>
  memoryHarness({ flushDelayMs: 2, ...options }),
)

storeSuite('lmdb', async (options = {}) => {
  const directory = await mkdtemp(join(tmpdir(), 'troupe-store-'))
  const harness: StoreHarness = {
    store: LmdbStore.open({ directory, ...options }),
    reopen: async () => {
      await harness.store.close()
      harness.store = LmdbStore.open({ directory })
      return harness.store
    },
    close: async () => {
      await harness.store.close()
      await rm(directory, { recursive: true })
    },
  }
  return harness
})

function memoryHarness(options: StoreOptions & { flushDelayMs?: number }): StoreHarness {
  let store = new MemoryStore({ clock: new SystemClock(), ...options })
  return {
    store,
    reopen: async () => {
      await store.close()
      store = store.crash()
      return store
    },
    close: () => store.close(),
  }
}
