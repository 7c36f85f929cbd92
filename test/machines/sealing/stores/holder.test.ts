/** A store has one worker, which lives; what a dead one left is nobody's. */
import { type ChildProcess, spawn } from 'node:child_process'
import { randomUUID } from 'node:crypto'
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import type { Holder } from '../../../../machines/sealing/stores/holder-record.ts'
import {
  BEAT_MS,
  HolderWatch,
  holdStore,
  LocalStores,
  SILENT_MS,
  type StoreHold,
} from '../../../../machines/sealing/stores/index.ts'
import { VirtualClock } from '../../../../src/adapters/memory/index.ts'
import { silentLog } from '../../../../src/adapters/system/index.ts'
import { until } from '../../../waiting.ts'

const PATIENT = { timeoutMs: 30_000 }
const children: ChildProcess[] = []
let location: string
let clock: VirtualClock

beforeEach(() => {
  location = mkdtempSync(join(tmpdir(), 'holder-'))
  clock = new VirtualClock()
})
afterEach(() => {
  for (const child of children.splice(0)) child.kill('SIGKILL')
  rmSync(location, { recursive: true, force: true })
})

type Record_ = Record<string, unknown>
const holderFile = () => join(location, 'holder')
const holder = () => JSON.parse(readFileSync(holderFile(), 'utf8')) as Record_
const write = (record: Record_, file = 'holder') =>
  writeFileSync(join(location, file), JSON.stringify(record))
const hold = () => holdStore(location, { clock })

/** The record of this process, which a test turns into that of another one. */
function mine(): Record_ {
  const held = hold()
  const record = holder()
  held.release()
  return record
}

/** No process has a start like this. */
const dead = () => ({ ...mine(), id: randomUUID(), startTicks: 1 })

/** As another worker leaves its record, which `holder.long.test.ts` has a real one do. */
function holdAs({ pid = 0 }: ChildProcess): void {
  const stat = readFileSync(`/proc/${pid}/stat`, 'utf8')
  const startTicks = Number(stat.slice(stat.lastIndexOf(')') + 2).split(' ')[19])
  write({ ...mine(), pid, startTicks })
}

it('is refused while another process has it, and taken over once that was killed', async () => {
  const child = spawn('sleep', ['600'], { stdio: 'ignore' })
  children.push(child)
  holdAs(child)
  expect(hold).toThrow(`held by the process ${child.pid}: stop it, or give this worker another`)
  expect(holder()['pid']).toBe(child.pid)

  child.kill('SIGKILL')
  await until(() => child.signalCode, PATIENT, 'the other process is dead')
  const held = hold()
  expect(holder()['pid']).toBe(process.pid)

  held.release()
  expect(existsSync(holderFile())).toBe(false)
})

it('a pid that was given out again, and a file that was cut, hold nothing', () => {
  write(dead())
  hold().release()
  for (const cut of ['', '{"id":"', JSON.stringify({ ...mine(), id: '../../elsewhere' })]) {
    writeFileSync(holderFile(), cut)
    hold().release()
  }
  expect(readdirSync(location)).toEqual([])
})

it('this process has it once, and does not let go of what has become of another', () => {
  const held = hold()
  expect(hold).toThrow('is held by the process')
  write({ ...holder(), id: randomUUID() })
  held.release()
  expect(existsSync(holderFile())).toBe(true)
})

describe('a claim', () => {
  it('of one that lives holds the store, though it was not moved yet', () => {
    const first = dead()
    const claimer = mine()
    write(first)
    write(claimer, `holder.${first.id}`)
    expect(hold).toThrow(`held by the process ${process.pid}`)
  })

  it('of one that died over it is taken over in its turn, and nothing is left of it', () => {
    const [first, second] = [dead(), dead()]
    write(first)
    write(second, `holder.${first.id}`)
    writeFileSync(join(location, `holder.${second.id}`), 'cut')
    const held = hold()
    expect(readdirSync(location)).toEqual(['holder'])
    expect(holder()['pid']).toBe(process.pid)
    held.release()
  })

  /** Between its look and its claim another one takes the store. */
  class SlowWatch extends HolderWatch {
    rival: StoreHold | undefined

    override objection(holder: Holder): string | undefined {
      const found = super.objection(holder)
      this.rival ??= hold()
      return found
    }
  }

  it('of a slow one, on what a faster one has taken by then, does not count', () => {
    write(dead())
    const watch = new SlowWatch(clock)
    expect(() => holdStore(location, { clock, watch })).toThrow('is held by the process')
    expect(readdirSync(location)).toEqual(['holder'])
    watch.rival?.release()
    expect(readdirSync(location)).toEqual([])
  })

  it('a directory in the place of the file is told, and not removed', () => {
    mkdirSync(holderFile())
    expect(hold).toThrow('EISDIR')
  })
})

describe('a holder elsewhere', () => {
  const elsewhere = () => ({ ...mine(), id: randomUUID(), host: 'b', pid: 7, startTicks: 1 })
  const OTHERS: [string, Record_][] = [
    ['on another host', { bootId: 'another' }],
    ['in another container', { pidNamespace: 'pid:[1]' }],
  ]

  it.each(OTHERS)('%s is taken over once it was silent for long enough', (_, where) => {
    const record = { ...elsewhere(), ...where, beat: '000000000007' }
    write(record)
    const watch = new HolderWatch(clock)
    const take = () => holdStore(location, { clock, watch })
    const untilAt = new Date(clock.now() + SILENT_MS).toISOString()
    const silent = `held by the process 7 on host b (taken over if it stays silent until ${untilAt})`
    expect(take).toThrow(silent)
    clock.advance(SILENT_MS - 1)
    expect(take).toThrow(silent)

    write({ ...record, beat: '000000000008' })
    expect(take).toThrow('the process 7 on host b, which gives signs of life: stop it')
    clock.advance(SILENT_MS - 1)
    expect(take).toThrow('taken over if it stays silent until')
    // Another one has begun meanwhile.
    write({ ...record, id: randomUUID() })
    clock.advance(1)
    expect(take).toThrow('taken over if it stays silent until')

    // What the wall clock says, here or there, has no part in it.
    clock.jumpWall(1_000_000)
    expect(take).toThrow('taken over if it stays silent until')
    clock.advance(SILENT_MS)
    take().release()
  })
})

describe('a heartbeat', () => {
  const stores: LocalStores[] = []
  const lost: string[] = []
  afterEach(() => {
    for (const one of stores.splice(0)) one.close()
    lost.length = 0
  })

  async function open(): Promise<LocalStores> {
    const onLost = (name: string, why: string) => lost.push(`${name}: ${why}`)
    const opened = new LocalStores({ clock, log: silentLog, onLost })
    stores.push(opened)
    await opened.open(location)
    return opened
  }

  /** Time goes on to the next beat, which is known once the one before has ended. */
  const beatsUntil = (condition: () => unknown) => {
    const look = () => {
      clock.advanceToNext()
      return condition()
    }
    return until(look, PATIENT, 'what beats lead to')
  }

  it('is written while the store is open, in place', async () => {
    await open()
    const { length } = readFileSync(holderFile(), 'utf8')
    await beatsUntil(() => holder()['beat'] === '000000000012')
    expect(readFileSync(holderFile(), 'utf8')).toHaveLength(length)
    expect(lost).toEqual([])
  })

  it('whoever was taken for dead hears of it, and leaves the file of the other alone', async () => {
    const opened = await open()
    const { id, ...record } = holder()
    rmSync(holderFile())
    write({ id: randomUUID(), ...record })
    await beatsUntil(() => lost.length > 0)
    expect(lost).toEqual([`${location}: another process took it`])
    const other = readFileSync(holderFile(), 'utf8')
    await expect(opened.open(location)).rejects.toThrow('is held by the process')
    expect(readFileSync(holderFile(), 'utf8')).toBe(other)
    // It can be had again.
    rmSync(holderFile())
    await opened.open(location)
    expect(holder()['id']).not.toBe(id)
  })

  it('that cannot be written ends the hold before another one takes it', async () => {
    await open()
    rmSync(holderFile())
    mkdirSync(holderFile())
    clock.advance(BEAT_MS)
    expect(lost).toEqual([])
    await beatsUntil(() => lost.length > 0)
    expect(lost[0]).toContain('its file holder cannot be written')
    expect(clock.monotonic()).toBeLessThan(SILENT_MS)
    rmSync(holderFile(), { recursive: true })
  })

  it('of a hold that is over keeps nobody from the store, least of all this process', async () => {
    const opened = await open()
    const record = holder()
    rmSync(holderFile())
    mkdirSync(holderFile())
    await beatsUntil(() => lost.length > 0)
    // The disk is well again, and has what it had before.
    rmSync(holderFile(), { recursive: true })
    write(record)
    await opened.open(location)
    expect(holder()['id']).not.toBe(record['id'])
    expect(hold).toThrow(`is held by the process ${process.pid}`)
  })
})
