import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, it } from 'vitest'
import { workers } from '../../../machines/workers/index.ts'
import { run } from '../../cli/rig.ts'
import { until } from '../../waiting.ts'
import { IDLE, WorkersRig } from './rig.ts'

let rig: WorkersRig

beforeEach(async () => {
  rig = await WorkersRig.create()
})

afterEach(() => rig.close())

const troupe = (...words: string[]) => run([...words, '--http', rig.url], { apps: [workers] })

it('groups: the key on stdout, what to do with it beside; list; rotate', async () => {
  const added = await troupe('workers', 'groups', 'add', '2')
  expect(added).toMatchObject({ code: 0, out: expect.stringMatching(/^[0-9a-f]{32}\n$/) })
  expect(added.err).toContain('job.group.2')
  const mail = await troupe('workers', 'groups', 'add', 'mail', '--queue', 'mail', 'news', '--json')
  expect(JSON.parse(mail.out)).toMatchObject({ group: 'mail', queues: ['mail', 'news'] })
  const rotated = await troupe('workers', 'groups', 'rotate', '2')
  expect(rotated.out).toMatch(/^[0-9a-f]{32}\n$/)
  expect(rotated.out).not.toBe(added.out)
  const list = await troupe('workers', 'groups', 'list')
  expect(list.out.split('\n').slice(0, 2)).toEqual([
    expect.stringMatching(/^2 {2}enabled {2}job\.group\.2 {2}key of \d/),
    expect.stringMatching(/^mail {2}enabled {2}mail, news {2}key of \d/),
  ])
})

it('list: who is there, and why it takes nothing', async () => {
  const key = await rig.addGroup('2')
  const body = { ...IDLE, load: 9.5, refusals: ['load: 9.50 is above 6 (--load-max)\u001b[2J'] }
  await rig.ask('report', { key, body })
  const { out } = await troupe('workers', 'list')
  const line = out.split('\n').find((one) => one.startsWith('w9'))
  expect(line).toMatch(/^w9 {2}online {2}group 2 {2}10\.0\.0\.7:1 {2}0\/4 running {2}load 9\.50/)
  expect(line).toMatch(/takes nothing: load: 9\.50 is above 6 \(--load-max\) \[2J$/)
  const { out: json } = await troupe('workers', 'list', '--json')
  expect(JSON.parse(json)).toMatchObject({
    workers: [
      { name: 'n1', group: '' },
      { name: 'w9', status: 'online' },
    ],
  })
})

it('offline, online, and what does not exist', async () => {
  const key = await rig.addGroup('2')
  await rig.ask('report', { key, body: IDLE })
  expect((await troupe('workers', 'offline', 'w9')).out).toMatch(/^w9 {2}offline .*by an operator/)
  expect((await troupe('workers', 'online', 'w9')).out).toMatch(/^w9 {2}online /)
  expect(await troupe('workers', 'offline', 'w8')).toMatchObject({
    code: 4,
    err: expect.stringContaining('there is no worker w8'),
  })
  expect(await troupe('workers', 'groups', 'rotate', '8')).toMatchObject({ code: 4 })
  expect(await troupe('workers', 'groups', 'add', '2')).toMatchObject({ code: 5 })
  expect(await troupe('workers', 'groups', 'add', 'a/b')).toMatchObject({ code: 2 })
})

it('drain waits until nothing runs', async () => {
  const key = await rig.addGroup('2')
  await rig.inner(key)
  const gate = join(rig.directory, 'gate')
  await writeFile(gate, '')
  await rig.run('a', `while [ -e '${gate}' ]; do sleep 0.05; done`, 'job.group.2')
  const running = async () => (await rig.workerView('w2'))?.running === 1
  await until(running, { timeoutMs: 10_000, every: 50 }, 'it runs')
  expect((await troupe('workers', 'drain', 'w2', '--no-wait')).out).toMatch(/^w2 {2}draining/)
  let drained = false
  const draining = troupe('workers', 'drain', 'w2').finally(() => {
    drained = true
  })
  await until(async () => !drained && (await running()), { timeoutMs: 20_000 }, 'it waits')
  await rig.node.client.send('run/a', { type: 'KILL' })
  expect((await draining).out).toMatch(/^w2 {2}offline/)
})

it.each([
  [['--key', 'k', '--key-file', 'f'], 'name the key once'],
  [[], 'the key of the group is missing'],
  [['--key', 'k', '--slots', '0'], '--slots'],
  [['--key', 'k', '--load-max', 'much'], '--load-max'],
  [['--key', 'k', '--memory-min', '5 apples'], '--memory-min'],
  [['--key', 'k', '--drain-timeout', 'soon'], '--drain-timeout'],
  [['--key', 'k', '--name', 'a.b'], '--name'],
  [['--key', 'k', '--advertise', ''], '--advertise'],
  [['--key-file', '/nonexistent/key'], 'there is no such file'],
  [['--key', 'k', '--server', 'ftp://x'], 'is not a URL'],
])('troupe worker %j is told what is wrong', async (words, why) => {
  const data = join(rig.directory, 'wrong')
  const ran = await run(['worker', '--data', data, ...words], { apps: [workers] })
  expect(ran).toMatchObject({ code: 2, err: expect.stringContaining(why) })
})
