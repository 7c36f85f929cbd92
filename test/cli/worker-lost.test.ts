/** What `troupe worker` does when its nodes let it in, and later do not know it any more. */

import { mkdtemp, rm } from 'node:fs/promises'
import { createServer, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, it } from 'vitest'
import { EXIT } from '../../src/cli/exit-codes.ts'
import { errorRecord, PACKED_TYPE, pack, toJson } from '../../src/protocol/index.ts'
import { run } from './rig.ts'

const ORDER = { admitted: true, reportMs: 20, cluster: 'c', queues: ['job.group.2'] }

let cwd: string
let server: Server
let nameIsGone: boolean

/** A node as a worker sees it that has nothing to do. */
beforeEach(async () => {
  cwd = await mkdtemp(join(tmpdir(), 'troupe-lost-'))
  nameIsGone = false
  server = createServer(({ url = '' }, response) => {
    if (url.endsWith('/poll')) return
    if (url.endsWith('/report') && nameIsGone) {
      response.statusCode = 409
      response.end(toJson({ error: errorRecord('conflict', 'another worker w2 is there') }))
      return
    }
    response.setHeader('content-type', PACKED_TYPE)
    response.end(pack(url.endsWith('/report') ? ORDER : null))
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
})

afterEach(async () => {
  server.closeAllConnections()
  server.close()
  await rm(cwd, { recursive: true, force: true })
})

it('one whose name has gone to another process says so, and ends with a failure', async () => {
  const { port } = server.address() as AddressInfo
  const place = ['--server', `http://127.0.0.1:${port}`, '--key', 'k', '--group', '2']
  const { code, out, err } = await run(['worker', ...place, '--name', 'w2', '--log-level=silent'], {
    cwd,
    onOut: () => {
      nameIsGone = true
    },
  })
  expect(out).toContain('serves group 2')
  expect(err).toContain('another worker w2 is there; this one takes nothing new')
  expect(code).toBe(EXIT.conflict)
}, 20_000)
