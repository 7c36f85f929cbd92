import { execFileSync } from 'node:child_process'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { apps } from '../../../machines/index.ts'
import { contentOf } from '../../../machines/jobs/quote.ts'
import { runCli, type Terminal } from '../../../src/cli/index.ts'
import { TroupeError, type VerbCall } from '../../../src/index.ts'
import { until } from '../../waiting.ts'
import { JobsNode } from './rig.ts'

let node: JobsNode

beforeAll(async () => {
  node = await JobsNode.create({
    config: { jobs: { types: { printf: ['/usr/bin/printf', '%s|', '{content}'] } } },
  })
  await node.addApp('tests')
})

afterAll(() => node.close())

interface Said {
  out: string
  err: string
  /** What was written as bytes. */
  bytes: Buffer
  /** Absent when the verb returns none. */
  code?: number
}

/** Runs a verb as the command line would. */
async function run(
  verb: string,
  words: string[] = [],
  options: Record<string, unknown> = {},
): Promise<Said> {
  const found = apps.flatMap((app) => app.verbs ?? []).find(({ path }) => path.join(' ') === verb)
  if (!found) throw new Error(`there is no verb ${verb}`)
  const said: Said = { out: '', err: '', bytes: Buffer.alloc(0) }
  const { json = false, ...rest } = options
  const defaults = Object.fromEntries(
    (found.options ?? []).flatMap(({ flags, default: value }) => {
      const name = /--([a-z-]+)/.exec(flags)?.[1] ?? ''
      return value === undefined
        ? []
        : [[name.replace(/-(.)/g, (_all, letter: string) => letter.toUpperCase()), value]]
    }),
  )
  const call: VerbCall = {
    arguments: words,
    options: { ...defaults, ...rest },
    json: json === true,
    http: async ({ method, path, query = {}, body }) => {
      const given = Object.entries(query).filter(([, value]) => value !== undefined) as [
        string,
        string,
      ][]
      const search = given.length === 0 ? '' : `?${new URLSearchParams(given)}`
      const answer = await node.operate(method, path + search, body)
      const { error } = answer.body as { error?: ConstructorParameters<typeof Error>[0] }
      if (error !== undefined) throw TroupeError.from(error as never)
      return answer
    },
    transfer: () => Promise.reject(new Error('no verb of jobs moves bytes so')),
    print: (line) => {
      said.out += `${line}\n`
    },
    write: (chunk) => {
      if (typeof chunk === 'string') said.out += chunk
      else said.bytes = Buffer.concat([said.bytes, chunk])
    },
    note: (line) => {
      said.err += `${line}\n`
    },
    progress: () => {},
    confirm: async () => true,
    clock: node.node.clock,
    signal: new AbortController().signal,
  }
  const code: unknown = await found.run(call)
  return typeof code === 'number' ? { ...said, code } : said
}

async function submit(words: string[], options: Record<string, unknown> = {}): Promise<string> {
  const { out } = await run('jobs submit', words, options)
  return out.trim()
}

describe('troupe apps', () => {
  it('prints a key once, and tokens', async () => {
    const added = await run('apps add', ['reports'])
    expect(added.out).toMatch(/^[0-9a-f]{32}\n$/)
    expect(added.err).toContain('not shown again')
    expect((await run('apps token', ['reports'])).out).toMatch(/^\d{10}[0-9a-f]{32}\n$/)
    const json = JSON.parse((await run('apps token', ['reports'], { json: true })).out) as {
      time: string
    }
    expect(json).toMatchObject({
      name: 'reports',
      time: expect.stringMatching(/^\d{10}$/) as string,
    })
    expect((await run('apps list')).out).toContain('reports  enabled  since 20')
  })
})

describe('troupe jobs', () => {
  it('submits, waits, and prints status, result and log', async () => {
    const id = await submit(['echo out; echo err >&2; exit 3'], { name: 'both' })
    expect(id).toMatch(/^[1-9]\d*$/)
    const status = await run('jobs status', [id], { wait: true })
    expect(status.out).toContain(`job ${id} (both): failed, exit code 3`)
    expect(status.code).toBe(1)
    expect((await run('jobs status', [id])).code).toBe(0)
    expect((await run('jobs status', [id], { wait: true, json: true })).code).toBe(1)
    expect(status.out).toContain('app default, group 1, type shell, priority 1')
    expect(status.out).toContain(`troupe jobs log ${id} --stderr`)
    expect(await run('jobs log', [id], { follow: true })).toMatchObject({
      out: 'out\n',
      err: 'err\n',
    })
    expect(await run('jobs log', [id], { stderr: true })).toMatchObject({ out: 'err\n', err: '' })
    const result = await run('jobs result', [id])
    expect(result).toMatchObject({ out: 'out\n', code: 1 })
    expect(result.err).toContain('failed, exit code 3')
    const json = JSON.parse((await run('jobs status', [id], { json: true })).out) as unknown
    expect(json).toMatchObject({ jobId: Number(id), status: 'failed', code: 5, exit: { code: 3 } })
  })

  it('follows a log from before the start to the end', async () => {
    const id = await submit(['for i in 1 2 3; do echo $i; sleep 0.2; done; printf 末'])
    expect((await run('jobs log', [id], { follow: true, stdout: true })).out).toBe('1\n2\n3\n末')
  })

  it('prints the last lines, with and without a line end behind the last', async () => {
    const closed = await submit(['seq 9'])
    await run('jobs status', [closed], { wait: true })
    expect((await run('jobs log', [closed], { stdout: true, lines: '2' })).out).toBe('8\n9\n')
    const open = await submit(['seq 9; printf 10'])
    await run('jobs status', [open], { wait: true })
    expect((await run('jobs log', [open], { stdout: true, lines: '2' })).out).toBe('9\n10')
    expect((await run('jobs log', [open], { stdout: true, lines: '99' })).out).toBe(
      '1\n2\n3\n4\n5\n6\n7\n8\n9\n10',
    )
  })

  it('refuses names that could move a cursor', async () => {
    await expect(submit(['true'], { name: 'a\u009b2J' })).rejects.toThrow('control characters')
    await expect(run('apps add', ['a\u0007'])).rejects.toThrow('control characters')
  })

  it('kills, and says so', async () => {
    const id = await submit(['sleep 600'])
    expect((await run('jobs kill', [id])).out).toContain('killed')
    await expect(run('jobs kill', ['999999'])).rejects.toThrow('there is no job 999999')
    await expect(run('jobs status', ['seven'])).rejects.toThrow('is not the id of a job')
  })

  it('runs several words as they are, and one word as shell text', async () => {
    const words = ['printf', '[%s]', 'a b', "it's", '$HOME', '*', '']
    const id = await submit(words)
    expect((await run('jobs result', [id])).out).toBe("[a b][it's][$HOME][*][]")
    const text = await submit(['printf %s "$((6 * 7))"'])
    expect(await run('jobs result', [text])).toMatchObject({ out: '42', code: 0 })
    expect((await run('jobs status', [text], { wait: true })).code).toBe(0)
  })

  it('runs other job types as the configuration says; no shell sees their content', async () => {
    const id = await submit(['a; echo $HOME `id`'], { type: 'printf' })
    expect((await run('jobs result', [id])).out).toBe('a; echo $HOME `id`|')
  })

  it('lists jobs with what tells them apart, by status and app', async () => {
    const done = await submit(['true'], { name: 'listed', app: 'tests' })
    await run('jobs status', [done], { wait: true })
    const waiting = await submit(['true'], { name: 'listed', app: 'tests', group: '77' })
    const all = (await run('jobs list', [], { app: 'tests', name: 'listed' })).out.split('\n')
    expect(all[0]).toMatch(/^ID +STATUS +FOR +NAME +APP +GROUP +EXECUTOR +WHY$/)
    expect(all[1]).toMatch(
      new RegExp(`^${waiting} +ready +\\d+s +listed +tests +77 +task job-command`),
    )
    expect(all[2]).toMatch(new RegExp(`^${done} +success +\\d+s +listed +tests +1$`))
    const ready = await run('jobs list', [], { status: 'ready', name: 'listed', json: true })
    expect(JSON.parse(ready.out)).toMatchObject({ jobs: [{ jobId: Number(waiting), code: 1 }] })
    const limited = await run('jobs list', [], { app: 'tests', name: 'listed', limit: '1' })
    expect(limited.err).toContain('There are more')
    expect((await run('jobs list', [], { app: 'nobody' })).err).toBe('There are no such jobs.\n')
    await expect(run('jobs list', [], { status: 'odd' })).rejects.toThrow('status must be one of')
  })

  it('modifies, kills, runs again and removes', async () => {
    const id = await submit(['echo old'], { group: '77', retries: '2', runTimeout: '5' })
    await expect(run('jobs modify', [id])).rejects.toThrow('nothing is given to be changed')
    const modified = await run('jobs modify', [id, 'echo new'], { priority: '-5' })
    expect(modified.out).toContain('group 77, type shell, priority -5')
    await run('jobs kill', [id])
    expect((await run('jobs modify', [id], { group: '1' })).out).toContain('killed by')
    expect((await run('jobs rerun', [id])).out).toMatch(/ready|running/)
    expect(await run('jobs result', [id])).toMatchObject({ out: 'new\n', code: 0 })
    const view = JSON.parse((await run('jobs status', [id], { json: true })).out) as unknown
    expect(view).toMatchObject({ retries: { failed: 2, lost: 4 }, runTimeoutMs: 5_000, attempt: 1 })
    expect((await run('jobs remove', [id])).out).toContain('removed, removed by')
    await expect(run('jobs rerun', [id])).rejects.toThrow('is over for good')
    await expect(run('jobs remove', ['999999'])).rejects.toThrow('there is no job 999999')
  })

  it('downloads what was written as it is', async () => {
    const id = await submit(['printf "\\377\\000é"; seq 100000'])
    await run('jobs status', [id], { wait: true })
    const { bytes } = await run('jobs download', [id])
    const numbers = Array.from({ length: 100_000 }, (_, i) => `${i + 1}\n`).join('')
    const wanted = Buffer.concat([Uint8Array.of(0xff, 0), Buffer.from(`é${numbers}`)])
    expect(Buffer.compare(bytes, wanted)).toBe(0)
  })

  it('does not run again, or remove, what runs', async () => {
    const id = await submit(['sleep 600'])
    const runs = async () => (await run('jobs status', [id])).out.includes('running')
    await until(runs, { timeoutMs: 10_000 }, 'a run')
    await expect(run('jobs rerun', [id])).rejects.toThrow(`job ${id} has not ended`)
    await expect(run('jobs remove', [id])).rejects.toThrow('cannot be removed yet')
    await run('jobs kill', [id])
  })

  it('belongs to an app that exists', async () => {
    await expect(submit(['true'], { app: 'nobody' })).rejects.toThrow('troupe apps add nobody')
    const id = await submit(['true'], { app: 'tests' })
    expect((await node.call('/server/jobstatus', { jobId: id })).status).toBe(200)
  })
})

it('has verbs whose flags the command line takes beside its own', async () => {
  const said = { out: '', err: '' }
  const terminal: Terminal = {
    env: {},
    cwd: node.directory,
    isTty: false,
    isErrorTty: false,
    script: undefined,
    write: (chunk) => {
      said.out += String(chunk)
    },
    writeError: (text) => {
      said.err += text
    },
    onSignal: () => () => {},
    exit: () => {},
  }
  for (const { path } of apps[0]?.verbs ?? [])
    expect(await runCli({ apps, argv: [...path, '--help'], terminal })).toBe(0)
  expect(said.err).toBe('')
  expect(said.out).toContain('troupe jobs modify [options] <id> [command...]')
})

it.each([
  [['a']],
  [['a b']],
  [['']],
  [["it's"]],
  [['$x', '`id`', '"', '\\', '\n', '*', '~', '#', 'ü', '-n']],
])('quotes %j so that a shell reads the same words', (words) => {
  const text = contentOf(['printf', '%s\\0', ...words])
  const read = execFileSync('/bin/sh', ['-c', text], { encoding: 'utf8' })
  expect(read.split('\0').slice(0, -1)).toEqual(words)
})

async function greeting(isTerminal: boolean): Promise<string> {
  const [app] = node.node.apps
  return ((await app?.app.greeting?.(app.context, { url: node.url, isTerminal })) ?? []).join('\n')
}

const TOKEN = /\d{10}[0-9a-f]{32}/

it.each([true, false])(
  'greets with a line to paste that works (terminal: %s)',
  async (isTerminal) => {
    const text = await greeting(isTerminal)
    // What is printed elsewhere is kept, so it holds no token: the line makes one.
    expect(TOKEN.test(text)).toBe(isTerminal)
    expect(text).toContain('troupe apps token demo')
    expect(text).toMatch(new RegExp(`jobs result --http ${node.url} .*submit --http ${node.url} `))
    const line =
      text
        .split('\n')
        .find((one) => one.includes('curl'))
        ?.trim() ?? 'false'
    const { out: token } = await run('apps token', ['demo'])
    // The shell's own words; the request is ours, since not every machine has curl.
    const stubs = `curl() { printf '%s\\0' "$@"; }\ntroupe() { echo ${token.trim()}; }`
    const script = `${stubs}\n${line}`
    const words = execFileSync('/bin/sh', ['-c', script], { encoding: 'utf8' }).split('\0')
    const url = words.find((word) => word.startsWith('http')) ?? ''
    const form = words.flatMap((word, at) => (words[at - 1] === '--data-urlencode' ? [word] : []))
    const fields = form.map((word) => [
      word.slice(0, word.indexOf('=')),
      word.slice(word.indexOf('=') + 1),
    ])
    const body = new URLSearchParams(Object.fromEntries(fields) as Record<string, string>)
    const answer = await fetch(url, { method: 'POST', body })
    const { params } = (await answer.json()) as { params: { jobId: string } }
    expect((await run('jobs result', [params.jobId])).out).toMatch(/^hello from .+\n$/)
  },
)

it('refuses job types that a shell could be tricked by', async () => {
  const schema = apps[0]?.config
  const parse = (types: unknown) => schema?.safeParse({ types }).success
  expect(parse({ hive: ['hive', '-e', '{content}'] })).toBe(true)
  expect(parse({ hive: ['sh', '-c', 'hive -e {content}'] })).toBe(false)
  expect(parse({ hive: ['{content}'] })).toBe(false)
  expect(parse({ hive: [] })).toBe(false)
  expect(schema?.safeParse({ kinds: {} }).success).toBe(false)
  const unknown = schema?.safeParse({ defaultType: 'hive' })
  expect(unknown?.error?.issues[0]).toMatchObject({
    path: ['defaultType'],
    message: 'there is no job type "hive"; there are: shell',
  })
})
