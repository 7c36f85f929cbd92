/** The manager as an app of a node, with a fast chain and a verifier that believes what is not bad. */
import { join } from 'node:path'
import { Chain, chainConfig, chainMachines } from '../../../../machines/sealing/chain/index.ts'
import {
  type ContentChecks,
  commitmentOfPiece,
  commitmentOfSector,
  managerConfig,
  managerMachines,
  managerRoutes,
  managerSingletons,
  managerVerbGroups,
  managerVerbs,
  type WdPoStPort,
} from '../../../../machines/sealing/manager/index.ts'
import { type App, defineApp } from '../../../../src/index.ts'

export const MINER = 1_000

/** Fast enough for a test, and every height is seen. */
const CHAIN = {
  blockMs: 10,
  confidence: 2,
  seedDelay: 3,
  seedMargin: 1,
  preCommitBatch: 1,
  proveBatch: 1,
}

const noJobs: WdPoStPort = {
  allocate: async () => [],
  heartbeat: async () => null,
  finish: async () => null,
}

export interface ManagerAppOptions {
  /** Laid over a configuration with one miner and one store. */
  config?: object
  jobs?: WdPoStPort
  /** The manager is not configured. */
  off?: boolean
}

/** All of it but the node, as an operator's own node has it. */
export function managerApp(directory: string, options: ManagerAppOptions = {}): App {
  const config = managerConfig.parse({
    miners: [{ id: MINER, sectorSize: '2KiB' }],
    stores: [{ name: 'long', path: join(directory, 'long'), capacityBytes: 1_000_000 }],
    policy: { pingIntervalMs: 1_000 },
    ...options.config,
  })
  return defineApp({
    name: 'sealing',
    machines: [...managerMachines, ...chainMachines],
    singletons: managerSingletons,
    verbs: managerVerbs,
    verbGroups: managerVerbGroups,
    routes: (context) =>
      managerRoutes(context, {
        config: options.off ? null : config,
        chain: new Chain(context.client, context.clock, chainConfig.parse(CHAIN)),
        jobs: options.jobs ?? noJobs,
        content: checks,
      }),
  })
}

/** A proof is good unless it says that it is not. */
const checks: ContentChecks = {
  verifyProof: async ({ proof }) => verdictOn(proof),
  verifySnap: async ({ proof }) => verdictOn(proof),
  commitmentOfSector,
  commitmentOfPiece,
}

function verdictOn(proof: string) {
  const isBad = Buffer.from(proof, 'base64').toString() === 'bad'
  return isBad ? { valid: false, reason: 'challenge 3 does not open' } : { valid: true }
}
