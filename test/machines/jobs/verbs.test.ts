import { execFileSync } from 'node:child_process'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { apps } from '../../../machines/index.ts'
import { contentOf } from '../../../machines/jobs/quote.ts'
import { TroupeError, type VerbCall } from '../../../src/index.ts'
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
  const said: Said = { out: '', err: '' }
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
    print: (line) => {
      said.out += `${line}\n`
    },
    write: (chunk) => {
      said.out += String(chunk)
    },
    note: (line) => {
      said.err += `${line}\n`
    },
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
    expect(status.out).toContain('app default, group 1, type shell')
    expect(status.out).toContain(`troupe jobs log ${id} --stderr`)
    expect(await run('jobs log', [id], { follow: true })).toEqual({ out: 'out\n', err: 'err\n' })
    expect(await run('jobs log', [id], { stderr: true })).toEqual({ out: 'err\n', err: '' })
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
    await expect(submit(['x'], { type: 'hive' })).rejects.toThrow('there are: printf, shell')
  })

  it('belongs to an app that exists', async () => {
    await expect(submit(['true'], { app: 'nobody' })).rejects.toThrow('troupe apps add nobody')
    const id = await submit(['true'], { app: 'tests' })
    expect((await node.call('/server/jobstatus', { jobId: id })).status).toBe(200)
  })
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
