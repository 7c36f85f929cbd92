/** `troupe store …` on the data of real nodes: copies of one that runs, the way back, damage, refusals. */
import { appendFile, cp, mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { setup } from 'xstate'
import { z } from 'zod'
import { LmdbStore } from '../../src/adapters/lmdb/index.ts'
import {
  backupData,
  createNode,
  defineApp,
  defineMachine,
  type TroupeNode,
  task,
} from '../../src/index.ts'
import { pack } from '../../src/protocol/index.ts'
import { until } from '../waiting.ts'
import { run } from './rig.ts'

let hangs = true
let release = () => {}
let attempts: number[] = []
/** Hangs in the node that the backup is taken of, and not in the one that goes on with it. */
const work = task({
  name: 'work',
  retry: { initialMs: 50 },
  run: async ({ signal, attempt }: { signal: AbortSignal; attempt: number }) => {
    attempts.push(attempt)
    if (!hangs) return 'done'
    await new Promise<void>((resolve) => {
      release = resolve
      signal.addEventListener('abort', () => resolve())
    })
    return 'done'
  },
})
const errand = defineMachine({
  machine: setup({
    types: { context: {} as { n: number }, events: {} as { type: 'GO' } },
    actors: { work },
  }).createMachine({
    id: 'errand',
    context: { n: 1 },
    initial: 'idle',
    states: {
      idle: { on: { GO: 'working' }, after: { 3600000: 'working' } },
      working: { invoke: { src: 'work', onDone: 'over' } },
      over: {},
    },
  }),
  events: { GO: z.object({}) },
  index: (context) => ({ n: (context as { n: number }).n }),
})
const apps = [defineApp({ name: 'errands', machines: [errand] })]

let cwd: string
const nodes: TroupeNode[] = []
beforeEach(async () => {
  cwd = await mkdtemp(join(tmpdir(), 'troupe-store-'))
  hangs = true
  attempts = []
})
afterEach(async () => {
  for (const node of nodes.splice(0)) await node.stop()
  await rm(cwd, { recursive: true, force: true })
})

async function startNode(data = '.data'): Promise<TroupeNode> {
  const limits = { leaseMs: 300 }
  const node = await createNode({ dataDirectory: join(cwd, data), apps, limits })
  nodes.push(node)
  return node
}

async function stopped(): Promise<void> {
  const node = await startNode()
  for (const id of ['a', 'b', 'c']) await node.client.start(`errand/${id}`)
  await node.stop()
}

const troupe = (...argv: string[]) => run(['store', ...argv], { cwd })
async function ok(...argv: string[]): Promise<string> {
  const { code, out, err } = await troupe(...argv)
  expect(code, `${out}${err}`).toBe(0)
  return out
}

/** Changes rows behind the node's back. */
async function tamper(change: (store: LmdbStore) => [Uint8Array, Uint8Array | null][]) {
  const store = LmdbStore.open({ directory: join(cwd, '.data', 'store') })
  await new Promise<void>((resolve, reject) => {
    store.write({ writes: change(store), flushed: resolve, failed: () => reject() })
  })
  await store.close()
}

describe('backup and restore', () => {
  it('copies a node that runs; what is restored is as it was and runs what ran', async () => {
    const node = await startNode()
    await node.client.start('errand/a')
    await node.client.start('errand/b')
    await node.client.send('errand/b', { type: 'GO' })
    await until(() => attempts.length > 0, { timeoutMs: 10_000 }, 'the task to run')
    await mkdir(join(cwd, '.data', 'apps', 'errands'), { recursive: true })
    await writeFile(join(cwd, '.data', 'apps', 'errands', 'key'), 'secret')
    expect(await ok('backup', 'b1')).toMatch(/^backed up to b1: 2 files, .*\n.*restore b1 --to/)
    expect((await readdir(join(cwd, 'b1'))).sort()).toEqual(['apps', 'manifest.json', 'store'])

    // Acknowledged behind the backup.
    await node.client.start('errand/late')
    release()
    await node.stop()
    expect(await ok('restore', 'b1', '--to', 'new')).toMatch(
      /^restored to new: 2 actors as of .*\n[\s\S]*new incarnation[\s\S]*start --data new/,
    )
    expect(await readFile(join(cwd, 'new', 'apps', 'errands', 'key'), 'utf8')).toBe('secret')
    expect((await readdir(join(cwd, 'new'))).sort()).toEqual(['apps', 'store'])
    expect(await ok('verify', '--data', 'new')).toMatch(/^whole: .*\n {2}restored from a backup of/)

    hangs = false
    const after = await startNode('new')
    expect((await after.client.get('errand/a')).value).toBe('idle')
    await expect(after.client.get('errand/late')).rejects.toMatchObject({ code: 'unknown-actor' })
    await until(
      async () => (await after.client.get('errand/b')).value === 'over',
      { timeoutMs: 20_000 },
      'the task to run again',
    )
    expect(attempts).toEqual([1, 2])
  }, 60_000)

  it('prints one object under --json', async () => {
    await stopped()
    const taken = JSON.parse(await ok('backup', 'b', '--json'))
    expect(taken).toMatchObject({ cluster: 'troupe', files: 1, directory: join(cwd, 'b') })
    const restored = JSON.parse(await ok('restore', 'b', '--to', 'new', '--json'))
    expect(restored).toMatchObject({ id: taken.id, actors: 3, data: join(cwd, 'new') })
    expect(JSON.parse(await ok('verify', '--data', 'new', '--json'))).toMatchObject({
      ...{ ok: true, actors: 3, problems: [], restored: { id: taken.id } },
    })
  })

  it('takes logs along when asked to, and not what commands made', async () => {
    await stopped()
    const attempt = join(cwd, '.data', 'worker', 'attempts', 'x')
    await mkdir(join(attempt, 'work'), { recursive: true })
    await writeFile(join(attempt, 'stdout'), 'said')
    await writeFile(join(attempt, 'work', 'large'), 'made')
    await mkdir(join(cwd, '.data', 'worker', 'live'), { recursive: true })
    await writeFile(join(cwd, '.data', 'worker', 'live', 'x'), '{}')
    await writeFile(join(cwd, '.data', 'uploaded-runs', 'y'), 'said elsewhere')
    await ok('backup', 'without')
    await ok('backup', 'with', '--logs')
    await ok('restore', 'with', '--to', 'new')
    const manifest = JSON.parse(await readFile(join(cwd, 'with', 'manifest.json'), 'utf8'))
    expect(manifest.files.map((file: { path: string }) => file.path)).toEqual([
      'store/data.mdb',
      'worker/attempts/x/stdout',
      'uploaded-runs/y',
    ])
    expect(await readdir(join(cwd, 'new', 'worker', 'attempts', 'x'))).toEqual(['stdout'])
    expect(await readdir(join(cwd, 'without'))).toEqual(['manifest.json', 'store'])
  })

  it('leaves nothing half done when it fails or is interrupted', async () => {
    await stopped()
    const interrupt = new AbortController()
    interrupt.abort()
    await mkdir(join(cwd, 'there'))
    for (const target of ['new', 'there']) {
      await expect(
        backupData(join(cwd, '.data'), join(cwd, target), { signal: interrupt.signal }),
      ).rejects.toThrow('interrupted')
    }
    expect((await readdir(cwd)).sort()).toEqual(['.data', 'there'])
    expect(await readdir(join(cwd, 'there'))).toEqual([])
  })

  it('refuses targets that hold something, and directories that are none', async () => {
    await stopped()
    await ok('backup', 'b')
    await mkdir(join(cwd, 'full'))
    await writeFile(join(cwd, 'full', 'x'), '')
    await writeFile(join(cwd, 'file'), '')
    const cases: [number, RegExp, string[]][] = [
      [5, /full is not empty: a backup goes into a new or empty directory/, ['backup', 'full']],
      [5, /file cannot be a backup: it is a file/, ['backup', 'file']],
      [5, /stands in the data directory itself/, ['backup', '.data/b']],
      [4, /none is no data directory/, ['backup', 'b2', '--data', 'none']],
      [5, /\.data is not empty: a data directory goes/, ['restore', 'b', '--to', '.data']],
      [4, /full is no complete backup: it has no manifest.json/, ['restore', 'full', '--to', 'n']],
      [2, /--to: name the data directory/, ['restore', 'b']],
    ]
    for (const [code, message, argv] of cases) {
      const ran = await troupe(...argv)
      expect(ran.err).toMatch(message)
      expect(ran.code).toBe(code)
    }
    expect(await readdir(cwd)).not.toContain('n')
  })

  it('restores nothing of a backup that is damaged', async () => {
    await stopped()
    await ok('backup', 'b')
    const damage: [string, RegExp, (backup: string) => Promise<void>][] = [
      [
        'longer',
        /store\/data.mdb is not what was backed up/,
        (b) => appendFile(join(b, 'store', 'data.mdb'), 'x'),
      ],
      [
        'missing',
        /the file store\/data.mdb is missing/,
        (b) => rm(join(b, 'store'), { recursive: true }),
      ],
      ['cut', /manifest.json is damaged/, (b) => writeFile(join(b, 'manifest.json'), '{"form":1')],
      [
        'upwards',
        /manifest.json is damaged/,
        async (b) => {
          const manifest = JSON.parse(await readFile(join(b, 'manifest.json'), 'utf8'))
          manifest.files.push({ path: 'apps/../../x', bytes: 0, sha256: '0'.repeat(64) })
          await writeFile(join(b, 'manifest.json'), JSON.stringify(manifest))
        },
      ],
    ]
    for (const [name, message, harm] of damage) {
      await cp(join(cwd, 'b'), join(cwd, name), { recursive: true })
      await harm(join(cwd, name))
      const { code, err } = await troupe('restore', name, '--to', 'new')
      expect(err).toMatch(message)
      expect(code).toBe(1)
      expect(await readdir(cwd)).not.toContain('new')
    }
  })

  it('restores no store with problems, and none of a cluster', async () => {
    await stopped()
    // A row in a table that there is not, and the mark of a journal.
    await tamper(() => [[Uint8Array.of(0, 1, 0x7f), pack(1)]])
    await ok('backup', 'strange')
    const strange = await troupe('restore', 'strange', '--to', 'new')
    expect(strange.err).toMatch(
      /the store in the backup is damaged; problem 1 of 1: row 00017f stands in a table/,
    )
    await tamper(() => [
      [Uint8Array.of(0, 1, 0x7f), null],
      [Uint8Array.of(0, 1, 0x02), pack([1, '0'])],
    ])
    await ok('backup', 'member')
    const member = await troupe('restore', 'member', '--to', 'new')
    expect([strange.code, member.code]).toEqual([1, 5])
    expect(member.err).toMatch(
      /of a node of a cluster.* Start the node with an empty data directory/,
    )
    expect(await readdir(cwd)).not.toContain('new')
  })

  it('that was cut short is never served', async () => {
    await stopped()
    await mkdir(join(cwd, '.data', '.restoring'))
    await expect(startNode()).rejects.toThrow(/was not restored to the end/)
    expect((await troupe('verify')).err).toMatch(/was not restored to the end/)
    await ok('reset', '--yes')
    await startNode()
  })
})

describe('verify', () => {
  it('says where it is wrong, and what can be done', async () => {
    await stopped()
    await tamper((store) => {
      const timers = [...store.range({ from: Uint8Array.of(0), to: Uint8Array.of(0xff) })]
      const row = timers.find(({ key }) => key[2] === 0x30 && Buffer.from(key).includes('errand/b'))
      return [[row!.key, null]]
    })
    const { code, out } = await troupe('verify')
    expect(code).toBe(1)
    expect(out).toMatch(
      /SHARD +WHERE +PROBLEM\n\d+ +errand\/b +its row for the timer .* is missing/,
    )
    expect(out).toMatch(/1 problem: \d+ rows, 3 actors, 64 shards/)
    expect(out).toContain('unarmed: enter its state again: troupe actors resume errand/b --retry')
    const json = await troupe('verify', '--json')
    expect(JSON.parse(json.out)).toMatchObject({
      ...{ ok: false, problems: [{ kind: 'unarmed', subject: 'errand/b' }] },
    })
  })

  it('mends what is made from other rows, and nothing else; the timer then falls due', async () => {
    await stopped()
    const lost: Uint8Array[] = []
    await tamper((store) => {
      const all = [...store.range({ from: Uint8Array.of(0), to: Uint8Array.of(0xff) })]
      const ofB = all.filter(({ key }) => Buffer.from(key).includes('errand/b'))
      lost.push(
        ...ofB.filter(({ key }) => [0x30, 0x20].includes(key[2] ?? 0)).map(({ key }) => key),
      )
      return lost.map((key) => [key, null])
    })
    expect(lost.length).toBeGreaterThan(0)
    const before = await troupe('verify')
    expect(before.out).toMatch(/can be mended: stop the node, then troupe store verify --repair/)
    const { code, out } = await troupe('verify', '--repair')
    expect(out).toMatch(/^mended: \d rows? written anew\nwhole: /)
    expect(code).toBe(0)
    expect(await ok('verify')).toMatch(/^whole: /)
    expect(await ok('verify', '--repair')).toMatch(/^nothing was changed.*\nwhole: /)
    const node = await startNode()
    expect((await node.client.get('errand/b')).timers).toHaveLength(1)
    const refused = await troupe('verify', '--repair')
    expect([refused.code, refused.err]).toEqual([5, expect.stringMatching(/stop the node first/)])
    await node.client.start('errand/later')
  })

  it('says what remains behind a repair', async () => {
    await stopped()
    await tamper(() => [[Uint8Array.of(0, 1, 0x7f), pack(1)]])
    const { code, out } = await troupe('verify', '--repair', '--json')
    expect(code).toBe(1)
    expect(JSON.parse(out)).toMatchObject({
      ...{ ok: false, repaired: 0, repairable: 0, problems: [{ kind: 'stray' }] },
    })
    const text = await troupe('verify', '--repair')
    expect(text.out).toMatch(/^nothing was changed.*\nSHARD/)
  })

  it('mends nothing of a member of a cluster', async () => {
    await stopped()
    await tamper((store) => {
      const all = [...store.range({ from: Uint8Array.of(0), to: Uint8Array.of(0xff) })]
      const row = all.find(({ key }) => key[2] === 0x30 && Buffer.from(key).includes('errand/b'))
      return [
        [row!.key, null],
        [Uint8Array.of(0, 1, 0x02), pack([1, '0'])],
      ]
    })
    const { code, err } = await troupe('verify', '--repair')
    expect([code, err]).toEqual([5, expect.stringMatching(/its journal is true/)])
    expect((await troupe('verify')).out).toMatch(/timer .* is missing/)
  })

  it('reads beside a node that runs, which goes on', async () => {
    const node = await startNode()
    await node.client.start('errand/a')
    expect(await ok('verify')).toMatch(/^whole: \d+ rows, 1 actor, 64 shards/)
    await node.client.start('errand/b')
  })

  it('finds rows behind the last shard', async () => {
    await stopped()
    await tamper(() => [[Uint8Array.of(0, 64, 0x22), pack(1)]])
    expect((await troupe('verify')).out).toContain(
      'higher shards  hold 1 rows; there are 64 shards',
    )
  })
})

describe('compact and reset', () => {
  it('compacts what is stopped', async () => {
    await stopped()
    expect(await ok('compact')).toMatch(/^compacted: .* → /)
    const node = await startNode()
    expect((await node.client.get('errand/a')).value).toBe('idle')
  })

  it('are refused while a node runs, and change nothing', async () => {
    const node = await startNode()
    await node.client.start('errand/a')
    for (const argv of [['compact'], ['reset', '--yes']]) {
      const { code, err } = await troupe(...argv)
      expect(err).toMatch(new RegExp(`is in use by process ${process.pid}: stop the node first`))
      expect(code).toBe(5)
    }
    await node.client.start('errand/b')
  })

  it('reset asks, and removes only what is ours', async () => {
    await stopped()
    await writeFile(join(cwd, '.data', 'notes.txt'), 'mine')
    const asked: string[] = []
    const answer = (text: string) => ({
      cwd,
      question: async (question: string) => {
        asked.push(question)
        return text
      },
    })
    expect((await troupe('reset')).err).toMatch(/nobody can be asked here: say --yes/)
    const no = await run(['store', 'reset'], answer('y'))
    expect([no.code, no.out]).toEqual([1, 'nothing was changed\n'])
    await ok('verify')
    const yes = await run(['store', 'reset'], answer('yes'))
    expect([yes.code, yes.out]).toEqual([0, 'reset: .data is empty\n'])
    expect(asked[1]).toContain(`Remove everything that ${join(cwd, '.data')} holds?`)
    expect(await readdir(join(cwd, '.data'))).toEqual(['notes.txt'])
    expect((await troupe('reset', '--yes')).code).toBe(4)
  })
})

it('draws a bar on a terminal, and none under --json', async () => {
  await stopped()
  const person = await run(['store', 'verify'], { cwd, isTty: true })
  const [before, ...drawn] = person.err.split('\r\u001b[K')
  expect(before).toBe('')
  expect(drawn[0]).toMatch(/^verify \[[#.]{24}\] +\d+%$/)
  expect(drawn.at(-1)).toBe('')
  for (const init of [
    { isTty: true, argv: ['--json'] },
    { isTty: false, argv: [] },
  ]) {
    const ran = await run(['store', 'verify', ...init.argv], { cwd, isTty: init.isTty })
    expect([ran.code, ran.err]).toEqual([0, ''])
  }
})
