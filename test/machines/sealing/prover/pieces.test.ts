/** Pieces: where they lie, what they are committed to, and where they come from. */

import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { readFileSync, writeFileSync } from 'node:fs'
import { createServer, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import fc from 'fast-check'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { rootOf, treeOf, zeroRoot } from '../../../../machines/sealing/prover/merkle.ts'
import {
  addPieces,
  commDOf,
  commitmentOf,
  placesOf,
} from '../../../../machines/sealing/prover/pieces.ts'
import { parseTask, type TaskOf } from '../../../../machines/sealing/prover/tasks.ts'
import { type PieceInfo, perform, type RawTask, Sector } from './rig.ts'

type RawPiece = RawTask<'add_pieces'>['pieces'][number]

let sector: Sector
beforeEach(() => {
  sector = new Sector()
})
afterEach(() => sector.remove())

async function add(...pieces: RawPiece[]): Promise<PieceInfo[]> {
  const task = { seal_proof_type: sector.proof, pieces, staged_filepath: sector.staged }
  return await perform('add_pieces', task)
}

function local(name: string, payload: Buffer, size: number): RawPiece {
  writeFileSync(sector.at(name), payload)
  const piece_file = { local: sector.at(name) }
  return { piece_file, payload_size: payload.length, piece_size: size }
}

describe('add_pieces', () => {
  it('lays each piece at a multiple of its size, as it is, among zeros', async () => {
    const [small, large] = [randomBytes(100), randomBytes(1_000)]
    const pieces = await add(local('small', small, 128), local('large', large, 1_024))
    const staged = readFileSync(sector.staged)
    expect(staged).toHaveLength(2_048)
    expect(staged.subarray(0, 100)).toEqual(small)
    expect(staged.subarray(1_024, 2_024)).toEqual(large)
    expect(staged.subarray(100, 1_024).every((byte) => byte === 0)).toBe(true)
    expect(pieces.map(({ size }) => size)).toEqual([128, 1_024])
    const root = rootOf(treeOf(staged.subarray(1_024))).toString('hex')
    expect(pieces[1]?.commitment).toBe(root)
  })

  it('takes sizes without padding as well, and filler', async () => {
    const pledge = { piece_file: 'pledge' as const, payload_size: 1_016, piece_size: 1_016 }
    const commitment = zeroRoot(1_024).toString('hex')
    expect(await add(pledge)).toEqual([{ commitment, size: 1_024 }])
    expect(readFileSync(sector.staged)).toEqual(Buffer.alloc(2_048))
  })

  it('makes a sector of zeros when there are none', async () => {
    expect(await add()).toEqual([])
    expect(readFileSync(sector.staged)).toEqual(Buffer.alloc(2_048))
  })

  it('refuses what does not fit, and what has another length', async () => {
    const data = randomBytes(1_016)
    const piece = local('piece', data, 1_024)
    await expect(add(piece, piece, piece)).rejects.toThrow(/do not fit into a sector of 2048/)
    await expect(add({ ...piece, payload_size: 1_017 })).rejects.toThrow(/holds 1016/)
    await expect(add({ ...piece, payload_size: 1_000 })).rejects.toThrow(/1016 bytes, not 1000/)
    await expect(add({ ...piece, piece_size: 1_000 })).rejects.toThrow(/piece_size: .*power of two/)
    await expect(add({ ...piece, piece_size: 64 })).rejects.toThrow(/piece_size/)
    const gone = { ...piece, piece_file: { local: sector.at('gone') } }
    await expect(add(gone)).rejects.toThrow(/ENOENT/)
    for (const url of ['ftp://127.0.0.1/x', 'file:///etc/hosts', 'piece']) {
      await expect(add({ ...piece, piece_file: { url } })).rejects.toThrow(/piece_file/)
    }
  })
})

it('CommD follows from the pieces, in every order and size', () => {
  const sizes = fc.array(fc.constantFrom(128, 256, 512, 1_024), { maxLength: 6 })
  fc.assert(
    fc.property(sizes, fc.nat(255), (list, byte) => {
      let places: number[]
      try {
        places = placesOf(list, 4_096)
      } catch {
        return
      }
      const staged = Buffer.alloc(4_096)
      const pieces = list.map((size, index) => {
        const at = places[index]!
        expect(at % size).toBe(0)
        staged.fill(byte + index, at, at + size - 1)
        const commitment = commitmentOf(staged.subarray(at, at + size)).toString('hex')
        return { commitment, size }
      })
      expect(commDOf(pieces, 4_096)).toEqual(rootOf(treeOf(staged)))
    }),
    { numRuns: 100 },
  )
})

describe('a piece from a server', () => {
  const data = randomBytes(1_000)
  let server: Server
  let url: string
  beforeAll(async () => {
    server = createServer((request, response) => {
      const path = request.url ?? ''
      if (path.startsWith('/piece')) response.end(data)
      else if (path === '/silent') response.writeHead(200).write('begin')
      else if (path === '/cut') response.writeHead(200, { 'content-length': 1_000 }).write('begin')
      else response.writeHead(Number(path.slice(1))).end()
      if (path === '/cut') response.write('', () => response.destroy())
    }).listen(0, '127.0.0.1')
    await once(server, 'listening')
    url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
  })
  afterAll(() => {
    server.closeAllConnections()
    server.close()
  })

  const at = (path: string, bytes = 1_000): RawPiece => ({
    piece_file: { url: `${url}${path}` },
    payload_size: bytes,
    piece_size: 1_024,
  })

  it('is laid down', async () => {
    await add(at('/piece?token=secret'))
    expect(readFileSync(sector.staged).subarray(0, 1_000)).toEqual(data)
  })

  it.each([
    ['is longer than told', '/piece', 999, 'conflict', /more than 999/],
    ['is shorter than told', '/piece', 1_001, 'conflict', /1000 bytes, not 1001/],
    ['is not there', '/404', 1_000, 'not-found', /404/],
    ['is not for us', '/401', 1_000, 'forbidden', /401/],
    ['may be there later', '/503', 1_000, 'unavailable', /503/],
    ['is cut off', '/cut', 1_000, 'unavailable', /cannot be fetched/],
  ])('%s', async (_, path, bytes, code, message) => {
    await expect(add(at(path, bytes))).rejects.toMatchObject({ code, message: expect.any(String) })
    await expect(add(at(path, bytes))).rejects.toThrow(message)
  })

  it('is given up when its server falls silent', async () => {
    const task = { seal_proof_type: sector.proof, pieces: [at('/silent')] }
    const parsed = parseTask('add_pieces', { ...task, staged_filepath: sector.staged })
    const adding = addPieces(parsed as TaskOf<'add_pieces'>, undefined, { silentMsMax: 50 })
    await expect(adding).rejects.toThrow(/nothing came for 50 ms/)
  })

  it('keeps the token of its url out of messages', async () => {
    await expect(add(at('/piece?token=secret', 5))).rejects.toThrow(/^(?!.*secret).*\/piece has/)
  })
})
