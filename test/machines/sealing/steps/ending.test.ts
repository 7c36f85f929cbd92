/** Nothing of a sector is deleted before the manager has acknowledged its end. */
import { existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, it } from 'vitest'
import { LocalStore } from '../../../../machines/sealing/stores/index.ts'
import { ManagerRefusal } from '../../../../machines/sealing/venus/index.ts'
import { failure, Rig, SECTOR } from './rig.ts'

const NAME = 's-t01000-7'
let rig: Rig
let sealed: string
beforeEach(async () => {
  rig = new Rig()
  sealed = (await LocalStore.open(rig.location)).pathsOf(SECTOR.ID).sealed
  writeFileSync(sealed, 'hours of work')
})
afterEach(() => rig.close())

const quarantined = async () => (await LocalStore.open(rig.location)).quarantine.list()
const abortion = { abortReason: 'Rejected: no such deal' }

it('a finished sector: acknowledged, then deleted', async () => {
  rig.manager.isDown = true
  expect(await rig.run('Finished')).toMatchObject({ kind: 'rest', reason: 'manager-down' })
  expect(existsSync(sealed)).toBe(true)
  rig.manager.isDown = false
  rig.manager.answers.ReportFinalized = () => {
    throw new ManagerRefusal(1, 'not yet')
  }
  expect(await failure(rig.run('Finished'))).toBe('temporary: not yet')
  expect(existsSync(sealed)).toBe(true)
  rig.manager.answers.ReportFinalized = () => {
    expect(existsSync(sealed)).toBe(true)
    return {}
  }
  expect(await rig.run('Finished')).toMatchObject({ kind: 'done', event: 'Ended' })
  expect(existsSync(sealed)).toBe(false)
  expect(await quarantined()).toEqual([])
})

it('a finished sector is reported once, though the worker dies before the deletion', async () => {
  const broken = { taskId: 'the task' }
  rig.runner = rig.newRunner({
    openStore: async (location) => {
      const store = await LocalStore.open(location)
      store.wipe = () => Promise.reject(new Error('killed'))
      return store
    },
  })
  expect(await failure(rig.run('Finished', {}, broken))).toContain('killed')
  rig.runner = rig.newRunner()
  expect(await rig.run('Finished', {}, broken)).toMatchObject({ event: 'Ended' })
  expect(rig.manager.paramsOf('ReportFinalized')).toHaveLength(1)
  expect(existsSync(sealed)).toBe(false)
})

it('a finished sector that the manager does not know', async () => {
  rig.manager.answers.ReportFinalized = () => {
    throw new ManagerRefusal(11_001, 'load state: key not found')
  }
  expect(await failure(rig.run('Finished'))).toBe('permanent: load state: key not found')
  expect(existsSync(sealed)).toBe(true)
  // It went away before, perhaps in the middle of its answer.
  expect(await rig.run('Finished', { rests: 1 })).toMatchObject({ event: 'Ended' })
  expect(await quarantined()).toMatchObject([{ sector: NAME, acknowledged: false }])
})

it('an aborted sector: acknowledged, then moved away', async () => {
  rig.manager.isDown = true
  expect(await rig.run('Aborted', abortion)).toMatchObject({ reason: 'manager-down' })
  expect(existsSync(sealed)).toBe(true)
  rig.manager.isDown = false
  rig.manager.answers.ReportAborted = () => {
    throw new ManagerRefusal(1, 'not yet')
  }
  expect(await failure(rig.run('Aborted', abortion))).toBe('temporary: not yet')
  expect(existsSync(sealed)).toBe(true)
  rig.manager.answers.ReportAborted = () => ({})
  expect(await rig.run('Aborted', abortion)).toMatchObject({ event: 'Ended' })
  expect(rig.manager.paramsOf('ReportAborted').at(-1)).toEqual([
    SECTOR.ID,
    'Rejected: no such deal',
  ])
  expect(existsSync(sealed)).toBe(false)
  const [entry] = await quarantined()
  const at = rig.clock.now()
  expect(entry).toMatchObject({
    ...{ sector: NAME, at, reason: 'Rejected: no such deal', acknowledged: true },
  })
  const moved = join(rig.location, 'quarantine', `${NAME}-${at}`, 'sealed', NAME)
  expect(readFileSync(moved, 'utf8')).toBe('hours of work')
})

it('a sector that the manager does not know is moved away, and kept until a person says so', async () => {
  rig.manager.answers.ReportAborted = () => {
    throw new ManagerRefusal(11_001, 'load state: key not found')
  }
  expect(await rig.run('Aborted', abortion)).toMatchObject({ event: 'Ended' })
  expect(await quarantined()).toMatchObject([{ acknowledged: false }])
})

it('an abort that was cut off behind the move is not done again', async () => {
  const task = { taskId: 'the task' }
  const outcome = await rig.run('Aborted', abortion, task)
  // As if the outcome had not been kept any more.
  for (const name of readdirSync(join(rig.location, 'data/steps'))) {
    writeFileSync(join(rig.location, 'data/steps', name), '')
  }
  expect(await rig.run('Aborted', abortion, task)).toEqual(outcome)
  expect(rig.manager.paramsOf('ReportAborted')).toHaveLength(1)
  expect(await quarantined()).toHaveLength(1)
})

it('a store without anything in it leaves nothing in the quarantine', async () => {
  await rig.run('Finished')
  expect(await rig.run('Aborted', { record: {} })).toMatchObject({ event: 'Ended' })
  expect(rig.manager.paramsOf('ReportAborted')).toEqual([])
  expect(await quarantined()).toEqual([])
})
