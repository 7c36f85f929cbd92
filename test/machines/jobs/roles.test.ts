/** What the users of a node may do with jobs, and that apps need no user: they have keys. */
import { createHash } from 'node:crypto'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { jobs } from '../../../machines/jobs/index.ts'
import { ROLES, type Role } from '../../../src/protocol/index.ts'
import { type Rig, startRig } from '../../gateway/rig.ts'

const tokenOf = (role: Role) => `${role}-0123456789abcdef`
const users = ROLES.map((role) => ({
  name: role,
  role,
  tokenSha256: createHash('sha256').update(tokenOf(role)).digest('hex'),
}))

let rig: Rig
beforeAll(async () => {
  rig = await startRig({ apps: [jobs], gateway: { users } })
})
afterAll(() => rig.close())

const call = (role: Role | undefined, method: string, path: string, body?: unknown) => {
  const headers = role === undefined ? {} : { authorization: `Bearer ${tokenOf(role)}` }
  return rig.call(method, path, { body, headers })
}

it.each<[method: string, path: string, body: unknown, least: Role]>([
  ['GET', '/jobs/apps', undefined, 'read'],
  ['POST', '/jobs/apps', { name: 'crm' }, 'admin'],
  ['POST', '/jobs/apps/none/token', undefined, 'admin'],
  ['POST', '/troupe/v1/actors/app/own', { appKey: 'a'.repeat(32), createdAt: 1 }, 'admin'],
  ['POST', '/troupe/v1/actors/app/own/send', { type: 'DISABLE' }, 'admin'],
  ['POST', '/jobs', { name: 'x', content: 'true' }, 'operate'],
  ['GET', '/jobs/999', undefined, 'read'],
  ['POST', '/jobs/999/kill', undefined, 'operate'],
])('%s %s', async (method, path, body, least) => {
  expect((await call(undefined, method, path, body)).status).toBe(401)
  for (const role of ROLES) {
    const { status } = await call(role, method, path, body)
    if (ROLES.indexOf(role) < ROLES.indexOf(least)) expect([role, status]).toEqual([role, 403])
    else expect([401, 403]).not.toContain(status)
  }
})

it('an app is let in by its key alone', async () => {
  const answer = await call(undefined, 'POST', '/server/jobstatus', { name: 'x', jobId: '1' })
  expect(answer.headers['www-authenticate']).toBeUndefined()
  expect(answer.body).toMatchObject({ respMsg: expect.stringMatching(/token/) })
})

it('nobody is shown the key of an app', async () => {
  const made = await call('admin', 'POST', '/jobs/apps', { name: 'shown' })
  const { appKey } = made.body as { appKey: string }
  expect(appKey).toMatch(/^[0-9a-f]+$/)
  for (const path of [
    'actors/app/shown',
    'actors?machine=app',
    'audit',
    'actors/app/shown/history',
  ]) {
    const answer = await call('admin', 'GET', `/troupe/v1/${path}`)
    expect(answer.status).toBe(200)
    expect(answer.text).not.toContain(appKey)
  }
})
