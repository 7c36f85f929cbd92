/** The child's side of the protocol: in a process of its own where pipes and kills matter, else in this one. */
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, readFileSync } from 'node:fs'
import { createServer, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { createInterface } from 'node:readline'
import { PassThrough, type Readable, type Writable } from 'node:stream'
import { fileURLToPath } from 'node:url'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import {
  PROCESSOR_HELP,
  processorVerb,
  runProcessor,
  verify,
} from '../../../../machines/sealing/prover/index.ts'
import { scriptArguments } from '../../../script.ts'
import { until } from '../../../waiting.ts'
import { Sector } from './rig.ts'

const SCRIPT = fileURLToPath(new URL('./processor-process.ts', import.meta.url))
const WAIT = { timeoutMs: 40_000 }

interface Answer {
  id: number
  err_msg?: string | null
  output?: unknown
  progress?: { what: string }
}

/** What asks, and reads the answers. */
class Asker {
  readonly lines: string[] = []
  readonly input: Writable
  err = ''

  constructor(input: Writable, output: Readable) {
    this.input = input
    createInterface({ input: output }).on('line', (line) => this.lines.push(line))
  }

  async ready(): Promise<string> {
    return await until(
      () => this.lines[0],
      WAIT,
      () => `the child is ready: ${this.err}`,
    )
  }

  write(line: unknown): void {
    this.input.write(`${typeof line === 'string' ? line : JSON.stringify(line)}\n`)
  }

  get answers(): Answer[] {
    return this.lines.slice(1).map((line) => JSON.parse(line) as Answer)
  }

  async answer(id: number, field: keyof Answer = 'err_msg'): Promise<Answer> {
    const find = () => this.answers.find((one) => one.id === id && field in one)
    return await until(find, WAIT, () => `an answer to ${id}: ${this.lines.join('\n')} ${this.err}`)
  }
}

class Child extends Asker {
  readonly process: ChildProcess
  readonly ended: Promise<unknown[]>

  constructor(...args: string[]) {
    const child = spawn(process.execPath, [...scriptArguments(SCRIPT), ...args])
    super(child.stdin, child.stdout)
    this.process = child
    this.ended = once(child, 'exit')
    child.stderr.on('data', (chunk) => {
      this.err += String(chunk)
    })
  }
}

class Inner extends Asker {
  readonly ended: Promise<void>

  constructor(stage: string, options: { plain?: boolean } = {}) {
    const [input, output] = [new PassThrough(), new PassThrough()]
    super(input, output)
    const note = (line: string) => {
      this.err += `${line}\n`
    }
    this.ended = runProcessor(stage, input, output, { ...options, note })
  }
}

const children: Child[] = []
function start(...args: string[]): Child {
  const child = new Child(...args)
  children.push(child)
  return child
}
afterAll(() => {
  for (const { process } of children) process.kill('SIGKILL')
})

let sector: Sector
beforeEach(() => {
  sector = new Sector('64KiB')
})
afterEach(() => sector.remove())

async function staged(size = '64KiB') {
  sector.remove()
  sector = new Sector(size)
  await sector.addNothing()
  return { registered_proof: sector.proof, staged_file: sector.staged, cache_dir: sector.cache }
}

describe('a child', () => {
  let child: Inner
  beforeAll(() => {
    child = new Inner('tree_d')
  })

  it('says that it is ready, and what else it knows', async () => {
    expect(await child.ready()).toBe('tree_d processor ready {"cancel":true,"progress":true}')
  })

  it('answers every request, in any order, with an output or an error', async () => {
    const task = await staged()
    child.write({ id: 1, task })
    child.write({ id: 2, task: { ...task, staged_file: sector.at('gone') } })
    child.write({ id: 3, task: {} })
    expect(await child.answer(1)).toEqual({ id: 1, err_msg: null, output: true })
    const missing = await child.answer(2)
    expect(missing).toEqual({
      id: 2,
      err_msg: expect.stringMatching(/there is no .*gone/),
      output: null,
    })
    expect((await child.answer(3)).err_msg).toMatch(/the task of tree_d is refused: /)
  })

  it('answers what it cannot read if it finds an id, and stays', async () => {
    child.write('{"id": 10, "task": {')
    child.write({ id: 11 })
    child.write('nonsense')
    child.write('')
    child.write({ id: 12, cancel: true })
    expect((await child.answer(10)).err_msg).toMatch(/this is no request: {"id": 10/)
    expect((await child.answer(11)).err_msg).toMatch(/no request/)
    await until(() => child.err.includes('no request: nonsense'), WAIT, 'a note')
    child.write({ id: 13, task: await staged() })
    expect(await child.answer(13)).toMatchObject({ output: true })
  })

  it('finishes what it was asked for when its input is closed, and ends', async () => {
    child.write({ id: 20, task: await staged() })
    child.input.end()
    await child.ended
    expect(await child.answer(20)).toMatchObject({ output: true })
  })
})

describe('a child that waits for a piece', () => {
  let silent: Server
  let asked: string[]
  beforeEach(async () => {
    asked = []
    silent = createServer((request) => asked.push(request.url ?? '')).listen(0, '127.0.0.1')
    await once(silent, 'listening')
  })
  afterEach(() => {
    silent.closeAllConnections()
    silent.close()
  })

  /** Nobody listens at that port. */
  function unreachable() {
    const pieces = [
      { piece_file: { url: 'http://127.0.0.1:1/' }, payload_size: 127, piece_size: 128 },
    ]
    return { seal_proof_type: sector.proof, pieces, staged_filepath: sector.staged }
  }

  /** A task that never ends by itself. */
  async function begin(child: Asker, id: number): Promise<void> {
    const { port } = silent.address() as AddressInfo
    const piece_file = { url: `http://127.0.0.1:${port}/${id}` }
    const pieces = [{ piece_file, payload_size: 127, piece_size: 128 }]
    const seal_proof_type = sector.proof
    child.write({ id, task: { seal_proof_type, pieces, staged_filepath: sector.staged } })
    await until(
      () => asked.includes(`/${id}`),
      WAIT,
      () => `task ${id} runs: ${child.err}`,
    )
  }

  it('obeys a cancel, and ends at once when nobody reads its answers', async () => {
    const child = start('add_pieces')
    await begin(child, 1)
    await begin(child, 2)
    child.write({ id: 1, cancel: true })
    expect(await child.answer(1)).toEqual({ id: 1, err_msg: 'cancelled', output: null })
    child.write({ id: 7, task: unreachable() })
    expect(await child.answer(7)).toMatchObject({ retry: true, output: null })
    child.lines.splice(2)
    child.write({ id: 2, task: {} })
    await until(() => child.err.includes('request 2 is under way'), WAIT, 'a note')
    expect(child.answers).toHaveLength(1)
    // What the death of a worker looks like from here.
    child.process.stdout!.destroy()
    child.input.end()
    expect(await child.ended).toEqual([0, null])
    expect(existsSync(sector.staged)).toBe(false)
  })

  it('says no more than all processors do where that is wanted', async () => {
    const child = new Inner('add_pieces', { plain: true })
    expect(await child.ready()).toBe('add_pieces processor ready')
    child.write({ id: 7, task: unreachable() })
    expect(Object.keys(await child.answer(7))).toEqual(['id', 'err_msg', 'output'])
    child.lines.splice(1)
    await begin(child, 1)
    // No progress can tell whether anybody reads: it is taken that nobody does.
    child.input.end()
    await child.ended
    expect(child.answers).toEqual([{ id: 1, err_msg: 'cancelled', output: null }])
  })
})

it('tells progress; killed, it leaves whole files or none, and the work is repeated', async () => {
  const child = start('pc1')
  await staged()
  child.write({ id: 1, task: sector.pc1Task() })
  await child.answer(1)
  const [first] = child.answers
  expect(first).toEqual({ id: 1, progress: { done: 1, of: 4, what: 'layer' } })
  await staged('512KiB')
  child.write({ id: 2, task: sector.pc1Task() })
  const labels = sector.at('cache/sc-02-data-layer-1.dat')
  const isWriting = () => existsSync(`${labels}.part`) || existsSync(labels)
  await until(isWriting, { ...WAIT, every: 1 }, 'it writes')
  child.process.kill('SIGKILL')
  await child.ended
  await sector.seal()
  expect(existsSync(`${labels}.part`)).toBe(false)
  expect(readFileSync(sector.sealed)).toHaveLength(sector.sizeBytes)
  expect(verify(sector.claim(await sector.prove()))).toEqual({ valid: true })
})

it('ends when its process is told to', async () => {
  const stop = new AbortController()
  const [input, output] = [new PassThrough(), new PassThrough()]
  const run = runProcessor('tree_d', input, output, { signal: stop.signal })
  stop.abort()
  await run
  expect(String(output.read())).toMatch(/^tree_d processor ready/)
  await runProcessor('tree_d', input, output, { signal: stop.signal })
})

it('a stage that there is not is refused', async () => {
  const run = runProcessor('tree_e', process.stdin, process.stdout)
  await expect(run).rejects.toThrow(/"tree_e" is no stage: take one of add_pieces/)
})

it('explains itself, and says plainly what it is not', async () => {
  expect(PROCESSOR_HELP).toMatch(/THIS IS NOT FILECOIN'S PROOF/)
  const printed: string[] = []
  const call = { arguments: [], options: {}, print: (line: string) => printed.push(line) }
  await processorVerb.run(call as unknown as Parameters<typeof processorVerb.run>[0])
  expect(printed).toEqual([PROCESSOR_HELP])
  expect(processorVerb.summary).toMatch(/not Filecoin's proof/)
})
