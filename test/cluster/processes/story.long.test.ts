/**
 * Long stories on real processes: everything that can befall a cluster, in orders of chance, each judged by
 * the simulator's checkers. `TROUPE_SEED` repeats them, as far as real processes can be repeated.
 */
import { afterEach, describe, expect, inject, it } from 'vitest'
import { missingNatsServer } from '../../nats-server.ts'
import { SimRandom } from '../../simulation/random.ts'
import { CheckedWork } from './checked.ts'
import { befall, FAULTS, type Fault, killOneServer } from './faults.ts'
import { Processes, type ProcessesOptions } from './harness.ts'
import { DEFAULT_SETTINGS } from './node-settings.ts'

const STORIES = 5
const TIME_MS = 300_000
const firstSeed = inject('seed')

/** Checkpoints are made and loaded, and slots are removed, all the time. */
const FORGETFUL = {
  ...DEFAULT_SETTINGS.limits,
  checkpointSlots: 50,
  checkpointLookMs: 500,
  journalRetentionMs: 2_000,
  journalSlotsMin: 20,
}

let cluster: Processes
let work: CheckedWork

afterEach(async () => {
  work?.end()
  await cluster?.close()
}, TIME_MS)

async function story(
  seed: number,
  faults: readonly (readonly [string, Fault])[],
  options: Partial<ProcessesOptions> = {},
): Promise<void> {
  cluster = await Processes.open({ nodes: ['n1', 'n2', 'n3'], ...options })
  await cluster.startAll()
  work = await CheckedWork.begin(cluster, { seed })
  await befall({ cluster, work, random: new SimRandom(seed).fork('faults') }, faults)
  const { account } = await work.judge()
  expect(account, `seed ${seed}`).toBe('')
}

const seeds = Array.from({ length: STORIES }, (_, at) => firstSeed + at)

describe.skipIf(missingNatsServer)('a cluster', () => {
  it.each(seeds)(
    'with one nats-server outlives everything, seed %i',
    async (seed) => {
      await story(seed, Object.entries(FAULTS))
    },
    TIME_MS,
  )

  it(
    'that forgets its slots outlives everything',
    async () => {
      await story(firstSeed, Object.entries(FAULTS), { settings: { limits: FORGETFUL } })
    },
    TIME_MS,
  )

  it(
    'with three nats-servers outlives everything, and each of them',
    async () => {
      const { stopNats: _, killNats: __, ...others } = FAULTS
      const faults = [...Object.entries(others), ...Array.from({ length: 3 }, () => SERVER)]
      await story(firstSeed, faults, { natsServers: 3 })
    },
    TIME_MS,
  )
})

const SERVER = ['killOneServer', killOneServer] as const
