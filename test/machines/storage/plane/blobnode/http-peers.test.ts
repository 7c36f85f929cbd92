/** Calls over TLS: an answer goes where its caller wants it, whether or not it says how long it is. */
import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { createServer, type Server } from 'node:https'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, it } from 'vitest'
import { HttpPeers } from '../../../../../machines/storage/plane/blobnode/http-peers.ts'
import { makeAuthority, makeCertificate } from '../../../../gateway/certificate-files.ts'

let directory: string
let server: Server
let peers: HttpPeers
let answer: { status: number; length?: number; body: string }

beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'http-peers-'))
  const ca = await readFile(await makeAuthority(directory), 'utf8')
  const { certFile, keyFile } = await makeCertificate(directory, 'blobnode')
  const [cert, key] = await Promise.all([readFile(certFile), readFile(keyFile)])
  server = createServer({ cert, key }, (_, response) => {
    const { status, length, body } = answer
    response.writeHead(status, length === undefined ? {} : { 'content-length': length })
    response.write(body.slice(0, 3))
    response.end(body.slice(3))
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  peers = new HttpPeers({ ca })
})
afterEach(async () => {
  peers.close()
  server.closeAllConnections()
  server.close()
  await rm(directory, { recursive: true })
})

it.each([
  [{ status: 200, length: 5, body: 'right' }, 'right'],
  [{ status: 200, body: 'right' }, 'right'],
  [{ status: 200, body: 'longer' }, '-----'],
  [{ status: 207, body: 'wrong' }, '-----'],
  [{ status: 207, length: 5, body: 'wrong' }, '-----'],
])('%j leaves %s', async (given, left) => {
  answer = given
  const into = Buffer.alloc(5, '-')
  const { body, isWhole } = await peers.call(
    `https://127.0.0.1:${(server.address() as AddressInfo).port}`,
    { method: 'GET', path: '/x', into, bulk: 'down', answerBytesMax: 100, timeoutMs: 10_000 },
  )
  expect([isWhole, body.toString(), into.toString()]).toEqual([true, given.body, left])
})
