/** Pieces to and from real servers: what is sent, what is refused, and that no secret is told. */
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { createServer, type IncomingMessage, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, it } from 'vitest'
import { pieceSources } from '../../../../machines/sealing/steps/index.ts'
import { failure, Rig, SECTOR } from './rig.ts'

const CID = 'baga6ea4seaq'
const PIECE = Buffer.alloc(300_000, 'piece')
let rig: Rig
let server: Server
let status: number
const got: { request: IncomingMessage; body: Buffer }[] = []

beforeEach(async () => {
  rig = new Rig()
  status = 200
  got.length = 0
  mkdirSync(join(rig.location, 'data/unsealed'), { recursive: true })
  writeFileSync(join(rig.location, 'data/unsealed/s-t01000-7'), PIECE)
  server = createServer((request, response) => {
    const chunks: Buffer[] = []
    request.on('data', (chunk: Buffer) => chunks.push(chunk))
    request.on('end', () => {
      got.push({ request, body: Buffer.concat(chunks) })
      response.writeHead(status, { location: 'http://127.0.0.1:1/' }).end('what it says')
    })
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
})
afterEach(() => {
  server.close()
  server.closeAllConnections()
  rig.close()
})

const host = () => `127.0.0.1:${(server.address() as AddressInfo).port}`

function upload(...urls: string[]) {
  rig.manager.answers.AcquireUnsealDest = () => urls
  const unsealIn = { pieceCid: CID, commD: '00', offset: 0, size: 128 }
  const record = { sector: SECTOR, unsealIn }
  return rig.run('Unsealed', { plan: 'unseal', record }, { taskId: urls.join() })
}

it('puts the piece to web servers and to stores of the market', async () => {
  const market = `market://store%201/x?host=${host()}&scheme=http&token=secret`
  expect(await upload(`http://${host()}/pieces/1?key=k`, market)).toMatchObject({
    event: 'UploadPieceDone',
  })
  expect(
    got.map(({ request: { method, url, headers }, body }) => ({
      ...{ method, url, length: headers['content-length'], auth: headers.authorization },
      isWhole: body.equals(PIECE),
    })),
  ).toEqual([
    {
      ...{ method: 'PUT', url: '/pieces/1?key=k', length: '300000', auth: undefined },
      isWhole: true,
    },
    {
      ...{ method: 'PUT', url: `/resource?resource-id=${CID}&store=store+1` },
      ...{ length: '300000', auth: 'Bearer secret', isWhole: true },
    },
  ])
  expect(rig.manager.paramsOf('AchieveUnsealSector')).toEqual([[SECTOR.ID, CID, '']])
})

it('a receiver that has the piece does not get it again when another one fails', async () => {
  const urls = [`http://${host()}/1`, `http://127.0.0.1:1/?key=secret`]
  const said = await failure(upload(...urls))
  expect(said).toMatch(/^temporary: http:\/\/127\.0\.0\.1:1\/ cannot be reached: .*ECONNREFUSED/)
  expect(said).not.toContain('secret')
  await failure(upload(...urls))
  expect(got).toHaveLength(1)
  expect(rig.manager.paramsOf('AchieveUnsealSector')).toEqual([])
})

it.each([
  [500, 'temporary'],
  [429, 'temporary'],
  [403, 'permanent'],
  [302, 'permanent'],
])('a receiver that answers %i: %s', async (code, level) => {
  status = code
  const said = await failure(upload(`http://${host()}/1?key=secret`))
  expect(said).toMatch(new RegExp(`^${level}: .*answers ${code} to the piece: what it says$`))
  expect(said).not.toContain('secret')
  expect(got).toHaveLength(1)
})

it('copies to files of this machine and into attached stores', async () => {
  const to = join(rig.root, 'some', 'dir', 'piece 1')
  rig.runner = rig.newRunner({
    pieces: pieceSources({ directories: [], managerUrl: `http://${host()}`, token: 'secret' }),
  })
  await upload(`file://${to.replace(' ', '%20')}`, 'store://long/a/b', 'store:///piece1')
  expect(readFileSync(to).equals(PIECE)).toBe(true)
  expect(readFileSync(join(rig.long, 'a/b')).equals(PIECE)).toBe(true)
  const [{ request } = {}] = got
  expect(request?.url).toBe('/piecestore/piece1')
  expect(request?.headers.authorization).toBe('Bearer secret')
})

it.each([
  'ftp://example/x',
  'not a url',
  'file://elsewhere/path',
  'store://unknown/x',
  'store://old/x',
  'store://long/%2e%2e%2fx',
  'store:///piece1',
  'market://store/x?token=secret',
  'market://store/x?host=a/b&token=secret',
  'market://store/x?host=a&scheme=file&token=secret',
])('refuses %s', async (url) => {
  const said = await failure(upload(url))
  expect(said).toMatch(/^permanent: /)
  expect(said).not.toContain('secret')
  expect(rig.manager.paramsOf('AchieveUnsealSector')).toEqual([])
})

it('pieces of deals: a directory of ours, then the manager', async () => {
  const [first, second] = [join(rig.root, 'none'), rig.pieces]
  writeFileSync(join(rig.pieces, CID), 'x')
  const sources = (managerUrl: string | null, token?: string) =>
    pieceSources({ directories: [first, second], managerUrl, token })
  expect(await sources(null).find(CID)).toEqual({ local: join(rig.pieces, CID) })
  await expect(sources(null).find('other')).rejects.toThrow('the piece other is nowhere (looked')
  expect(await sources('http://m:1789').find('other')).toEqual({
    url: 'http://m:1789/piecestore/other',
  })
  expect(await sources('http://m/sub', 't').find('other')).toEqual({
    ...{ url: 'http://m/sub/piecestore/other', token: 't' },
  })
  await expect(sources(null).find('../x')).rejects.toThrow('cannot be the name of a piece')
  expect(sources('http://m').uploadAddress('../x')).toBe(null)
  expect(() => pieceSources({ directories: ['here'], managerUrl: null })).toThrow('no absolute')
  expect(existsSync(first)).toBe(false)
})

it('a piece that takes a token is fetched by the worker, and not left behind', async () => {
  const deals = [{ ID: 4, Piece: { Size: 2_048, Cid: CID } }]
  const input = { record: { sector: SECTOR, deals } }
  const sourceOf = (token?: string) =>
    pieceSources({ directories: [], managerUrl: `http://${host()}`, token })
  const files: unknown[] = []
  rig.processors.stages['add_pieces'] = (task: {
    pieces: [{ piece_file: { local?: string } }]
  }) => {
    const { piece_file: file } = task.pieces[0]
    files.push(file.local === undefined ? file : readFileSync(file.local, 'utf8'))
    return [{ commitment: 'ab'.repeat(32), size: 2_032 }]
  }
  rig.runner = rig.newRunner({ pieces: sourceOf() })
  await rig.run('DealsAcquired', input)
  expect(got).toHaveLength(0)
  rig.runner = rig.newRunner({ pieces: sourceOf('secret') })
  await rig.run('DealsAcquired', input)
  expect(files).toEqual([{ url: `http://${host()}/piecestore/${CID}` }, 'what it says'])
  expect(got[0]?.request.headers.authorization).toBe('Bearer secret')
  expect(existsSync(join(rig.location, 'data/unsealed/s-t01000-7.fetched'))).toBe(false)

  status = 404
  expect(await failure(rig.run('DealsAcquired', input))).toMatch(/^permanent: .*answers 404 when/)
  status = 503
  expect(await failure(rig.run('DealsAcquired', input))).toMatch(/^temporary: .*answers 503 when/)
  server.close()
  server.closeAllConnections()
  expect(await failure(rig.run('DealsAcquired', input))).toMatch(/^temporary: .*cannot be reached/)
})
