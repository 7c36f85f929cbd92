/** To whom the token of a worker goes: whoever pings may name any place. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { clientAt, namedTarget } from '../../../../machines/sealing/fleet/worker-target.ts'
import { TroupeError, type VerbCall } from '../../../../src/index.ts'

const DEST = '10.0.0.7:17890'
let directory: string
let workerTokenFile: string

beforeAll(() => {
  directory = mkdtempSync(join(tmpdir(), 'troupe-target-'))
  workerTokenFile = join(directory, 'token')
  writeFileSync(workerTokenFile, 'a-secret\n')
})
afterAll(() => rmSync(directory, { recursive: true }))

/** @param dest where the node says that any worker is; null: it knows none */
function callWith(options: Record<string, unknown>, dest: string | null = null): VerbCall {
  const call: Partial<VerbCall> = {
    options,
    signal: new AbortController().signal,
    http: async () => {
      if (dest === null) throw new TroupeError('not-found', 'nobody')
      return { status: 200, body: { dest } }
    },
  }
  return call as VerbCall
}

const refusal = /would go in clear to 10\.0\.0\.7:17890.* --worker-host 10\.0\.0\.7/

it('goes to no place that only a ping has named', async () => {
  const call = callWith({ workerTokenFile }, DEST)
  expect(() => clientAt(call, DEST)).toThrow(refusal)
  await expect(namedTarget(call, 'w1')).rejects.toThrow(refusal)
  // A worker that pings under the address of another does not get what is meant for that one.
  await expect(namedTarget(call, '10.0.0.8')).rejects.toThrow(refusal)
  await expect(namedTarget(call, '10.0.0.7:1')).rejects.toThrow(refusal)
})

it('goes to this machine, and where the operator says', async () => {
  for (const here of ['127.0.0.1:1', 'localhost:1', '[::1]:1', '0.0.0.0:1'])
    expect(clientAt(callWith({ workerTokenFile }), here).hasToken).toBe(true)
  for (const workerHost of [['10.0.0.7'], ['w9', '10.0.0.7:17890']]) {
    const call = callWith({ workerTokenFile, workerHost }, DEST)
    expect(clientAt(call, DEST).hasToken).toBe(true)
  }
  const other = callWith({ workerTokenFile, workerHost: ['10.0.0.7:1', '10.0.0.70'] })
  expect(() => clientAt(other, DEST)).toThrow(refusal)
  // Typed, whether the node knows it or not.
  for (const known of [DEST, null]) {
    const typed = await namedTarget(callWith({ workerTokenFile }, known), DEST)
    expect([typed.hasToken, typed.place]).toEqual([true, { host: '10.0.0.7', port: 17_890 }])
  }
})

it('without a token nothing is kept back', () => {
  expect(clientAt(callWith({}), DEST).hasToken).toBe(false)
})

it('of a file that holds more than one word nothing is sent, nor said', () => {
  const file = join(directory, 'two-lines')
  writeFileSync(file, 'a-secret\nits-comment\n')
  const call = callWith({ workerTokenFile: file })
  expect(() => clientAt(call, '127.0.0.1:1')).toThrow(/two-lines holds no token: it is one word/)
  expect(() => clientAt(call, '127.0.0.1:1')).not.toThrow(/a-secret/)
})
