/**
 * Sealed files on their way to a long-term store. Decides: which files, how much room is asked for, and
 * that a repeat goes over what is there. Leaves to others: which store (the manager), copying (processor
 * `transfer`).
 */
import { rm } from 'node:fs/promises'
import { join } from 'node:path'
import { z } from 'zod'
import { isKeptCacheFile, namesIn, type SectorPaths } from '../stores/index.ts'
import { stepError } from '../thread/index.ts'
import type { ResultOf } from '../venus/index.ts'
import type { StepResult } from './ports.ts'
import type { Scene } from './scene.ts'
import { by, isUpgradedRebuild } from './staging.ts'

/** Of small sectors the cache is as large as the sector; of large ones it is next to nothing. */
const SMALL_BELOW_BYTES = 32 * 2 ** 30
const SMALL_FACTOR = 2
const LARGE_FACTOR = 1.02

export interface Route {
  src: { store_name: string | null; uri: string }
  dest: { store_name: string | null; uri: string }
  opt: { is_dir: boolean; allow_link: boolean }
}

type StoreBasic = NonNullable<ResultOf<'StoreBasicInfo'>>
type Files = [file: 'sealed', cache: 'cache'] | [file: 'update', cache: 'updateCache']

export async function persist(scene: Scene): Promise<StepResult> {
  const isUpgrade = scene.input.plan === 'snapup' || isUpgradedRebuild(scene)
  const { attached } = scene.deps
  const candidates = attached.writable()
  if (candidates.length === 0) {
    const why = 'no attached store can be written to: attach one to this worker'
    throw stepError('permanent', why)
  }
  const bytes = reservedBytes(scene.proof.sizeBytes)
  const store = await scene.call('StoreReserveSpace', [scene.sectorId, bytes, candidates])
  if (!store) {
    const why = `no store of ${candidates.join(', ')} has ${bytes} bytes for ${scene.input.thread}`
    return { rest: 'store-space', afterMs: scene.settings.rpcPollingIntervalMs, why }
  }
  if (!candidates.includes(store.Name)) {
    const why = `the manager wants the files in "${store.Name}", which this worker cannot write to: it has ${candidates.join(', ')}`
    throw stepError('permanent', why)
  }
  const files: Files = isUpgrade ? ['update', 'updateCache'] : ['sealed', 'cache']
  const routes = await routesTo(scene.pathsOf(), store.Name, files, scene)
  const process = await transfer(scene, routes, store)
  return { event: 'Persist', record: { persistedIn: store.Name }, ...by(process) }
}

export async function submitPersisted(scene: Scene): Promise<StepResult> {
  const store = scene.need('persistedIn')
  const isUpgrade = isUpgradedRebuild(scene)
  const isThere = await scene.call('SubmitPersistedEx', [scene.sectorId, store, isUpgrade])
  if (isThere) return { event: 'SubmitPersistance', record: {} }
  const why = `the manager does not find all files of the sector in "${store}": resume at the state that persists them`
  throw stepError('permanent', why)
}

/** The files of a sector that was sealed before, by links where that can be. */
export async function fetchSealed(scene: Scene, name: string): Promise<void> {
  const local = scene.pathsOf()
  const kept = scene.deps.attached.pathsOf(name, scene.sectorId)
  // Links of an earlier try: what they lead to is not touched.
  await rm(local.sealed, { recursive: true, force: true })
  await rm(local.cache, { recursive: true, force: true })
  const route = (from: string, to: string, isDirectory: boolean): Route => ({
    src: { store_name: name, uri: from },
    dest: { store_name: null, uri: to },
    opt: { is_dir: isDirectory, allow_link: true },
  })
  const routes = [route(kept.sealed, local.sealed, false), route(kept.cache, local.cache, true)]
  await transfer(scene, routes, await basicOf(scene, name))
}

/** What is of use during the sealing only takes many times the room of the sector. */
export async function clearCache(scene: Scene): Promise<void> {
  const { cache } = scene.pathsOf()
  for (const name of await namesIn(cache)) {
    if (!isKeptCacheFile(name)) await rm(join(cache, name), { recursive: true, force: true })
  }
}

/** @returns who did it */
export async function transfer(
  scene: Scene,
  routes: Route[],
  store: StoreBasic,
): Promise<string | null> {
  const stores = { [store.Name]: { name: store.Name, meta: store.Meta ?? {} } }
  const { output, process } = await scene.run('transfer', { stores, routes }, z.boolean())
  if (output) return process
  throw stepError('permanent', `the processor of transfer did not copy to or from ${store.Name}`)
}

/** The manager knows what a transfer needs to reach a store; one without it is a directory here. */
export async function basicOf(scene: Scene, name: string): Promise<StoreBasic> {
  return (await scene.call('StoreBasicInfo', [name])) ?? { Name: name }
}

export function reservedBytes(sizeBytes: number): number {
  const factor = sizeBytes < SMALL_BELOW_BYTES ? SMALL_FACTOR : LARGE_FACTOR
  return Math.ceil(sizeBytes * factor)
}

async function routesTo(
  local: SectorPaths,
  name: string,
  [file, cache]: Files,
  scene: Scene,
): Promise<Route[]> {
  const kept = scene.deps.attached.pathsOf(name, scene.sectorId)
  const route = (from: string, to: string): Route => ({
    src: { store_name: null, uri: from },
    dest: { store_name: name, uri: to },
    opt: { is_dir: false, allow_link: false },
  })
  const cached = (await namesIn(local[cache])).filter(isKeptCacheFile)
  return [
    route(local[file], kept[file]),
    ...cached.map((inner) => route(join(local[cache], inner), join(kept[cache], inner))),
  ]
}
