/** The stages on threads: order, progress, failures, cancelling. */

import { once } from 'node:events'
import { existsSync, readFileSync } from 'node:fs'
import { createServer, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { afterAll, afterEach, beforeAll, beforeEach, expect, it } from 'vitest'
import {
  type Progress,
  ProverThreads,
  proverHandlers,
  verify,
} from '../../../../machines/sealing/prover/index.ts'
import { until } from '../../../waiting.ts'
import { NAMES, Sector } from './rig.ts'

const WAIT = { timeoutMs: 30_000 }

let sector: Sector
let threads: ProverThreads
let silent: Server
let askedFor = 0
beforeAll(async () => {
  threads = new ProverThreads({ threadsMax: 1 })
  silent = createServer(() => {
    askedFor++
  }).listen(0, '127.0.0.1')
  await once(silent, 'listening')
})
afterAll(async () => {
  await threads.stop()
  silent.closeAllConnections()
  silent.close()
})
beforeEach(() => {
  sector = new Sector('64KiB')
  askedFor = 0
})
afterEach(() => sector.remove())

function pledge() {
  const piece = { piece_file: 'pledge', payload_size: 0, piece_size: sector.sizeBytes }
  return { seal_proof_type: sector.proof, pieces: [piece], staged_filepath: sector.staged }
}

/** A piece that never comes: its job runs until somebody ends it. */
function endless(name: string) {
  const { port } = silent.address() as AddressInfo
  const piece_file = { url: `http://127.0.0.1:${port}/${name}` }
  const piece = { piece_file, payload_size: 127, piece_size: 128 }
  return { seal_proof_type: sector.proof, pieces: [piece], staged_filepath: sector.at(name) }
}

it('seals and proves, with progress', async () => {
  const seen: Progress[] = []
  const onProgress = (progress: Progress) => seen.push(progress)
  sector.pieces = (await threads.run('add_pieces', pledge())) as typeof sector.pieces
  const pc1out = await threads.run('pc1', sector.pc1Task(), { onProgress })
  expect(seen).toEqual([1, 2, 3, 4].map((done) => ({ done, of: 4, what: 'layer' })))
  const task = { pc1out, cache_dir: sector.cache, sealed_file: sector.sealed }
  sector.pc2out = (await threads.run('pc2', task)) as typeof sector.pc2out
  const c1out = await threads.run('c1', sector.c1Task())
  const proving = { c1out, prover_id: NAMES.prover_id, sector_id: NAMES.sector_id }
  const { proof } = (await threads.run('c2', proving)) as { proof: string }
  expect(verify(sector.claim(proof))).toEqual({ valid: true })
})

it('says no with a code, in its own thread and before', async () => {
  const gone = {
    registered_proof: sector.proof,
    staged_file: sector.staged,
    cache_dir: sector.cache,
  }
  await expect(threads.run('tree_d', gone)).rejects.toMatchObject({ code: 'not-found' })
  await expect(threads.run('tree_d', {})).rejects.toMatchObject({ code: 'malformed' })
  await expect(threads.run('tree_e', {})).rejects.toMatchObject({ code: 'not-found' })
})

it('ends what is cancelled, running or not, and goes on with the next', async () => {
  const [running, waiting] = [new AbortController(), new AbortController()]
  const why = new Error('not wanted')
  const first = threads.run('add_pieces', endless('first'), { signal: running.signal })
  const second = threads.run('add_pieces', endless('second'), { signal: waiting.signal })
  const third = threads.run('add_pieces', pledge())
  await until(() => askedFor === 1, WAIT, 'the first job asks for its piece')
  waiting.abort(why)
  await expect(second).rejects.toBe(why)
  running.abort(why)
  await expect(first).rejects.toBe(why)
  await expect(third).resolves.toHaveLength(1)
  expect(askedFor).toBe(1)
  expect(existsSync(sector.at('first'))).toBe(false)
  const late = threads.run('add_pieces', pledge(), { signal: running.signal })
  await expect(late).rejects.toBe(why)
})

it('cuts everything when it stops, and takes nothing more', async () => {
  const two = new ProverThreads({ threadsMax: 2 })
  const jobs = ['a', 'b', 'c'].map((name) => two.run('add_pieces', endless(name)))
  const ended = Promise.allSettled(jobs)
  await until(() => askedFor === 2, WAIT, 'two jobs ask for their pieces')
  await two.stop()
  for (const job of await ended) {
    expect(job).toMatchObject({ status: 'rejected', reason: { code: 'unavailable' } })
  }
  await expect(two.run('add_pieces', pledge())).rejects.toMatchObject({ code: 'unavailable' })
})

it('serves a daemon: what may pass by itself is no refusal', async () => {
  const handlers = new Map(proverHandlers(threads))
  const addPieces = handlers.get('add_pieces')!
  const call = { signal: new AbortController().signal, key: '', onProgress: () => undefined }
  expect(await addPieces(pledge(), call)).toHaveLength(1)
  expect(readFileSync(sector.staged)).toHaveLength(sector.sizeBytes)
  await expect(addPieces({}, call)).rejects.toMatchObject({ code: 'malformed' })
  const refusing = createServer((_, response) => response.writeHead(503).end())
  refusing.listen(0, '127.0.0.1')
  await once(refusing, 'listening')
  const { port } = refusing.address() as AddressInfo
  const piece_file = { url: `http://127.0.0.1:${port}/` }
  const task = { ...pledge(), pieces: [{ piece_file, payload_size: 127, piece_size: 128 }] }
  await expect(addPieces(task, call)).rejects.toMatchObject({ kind: 'unavailable' })
  refusing.close()
})
