/**
 * The verbs that move bytes: put, get, rm. Decides: where the bytes come from and go to, and that a file is
 * there as a whole or not at all. Leaves to others: the way to the node.
 */
import { randomUUID } from 'node:crypto'
import { createReadStream } from 'node:fs'
import { type FileHandle, open, rename, rm, stat } from 'node:fs/promises'
import { basename, dirname, join } from 'node:path'
import {
  type AppVerb,
  TroupeError,
  toJson,
  type VerbBytes,
  type VerbCall,
} from '../../../../src/verbs.ts'

/** As of everything else that is not there. */
const NOT_FOUND_EXIT_CODE = 4

export const accessVerbs: readonly AppVerb[] = [
  {
    path: ['storage', 'put'],
    summary: 'store a file and print its id; - reads standard input',
    arguments: '<file>',
    options: [{ flags: '--mode <name>', description: 'code mode (default: as the node has it)' }],
    examples: ['troupe storage put photo.raw --mode EC6P3', 'tar c . | troupe storage put -'],
    run: put,
  },
  {
    path: ['storage', 'get'],
    summary: 'bring an object back',
    arguments: '<id>',
    options: [
      { flags: '-o, --output <file>', description: 'write it there (default: standard output)' },
      { flags: '--range <first-last>', description: 'bytes 0-99, 100-, or -100 for the last ones' },
    ],
    examples: ['troupe storage get ID -o photo.raw', 'troupe storage get ID --range 0-1023'],
    run: get,
  },
  {
    path: ['storage', 'rm'],
    summary: 'delete objects',
    arguments: '<id...>',
    examples: ['troupe storage rm ID'],
    run: remove,
  },
]

async function put(call: VerbCall): Promise<void> {
  const [file = ''] = call.arguments
  const mode = textOf(call, 'mode')
  const body = file === '-' ? { bytes: process.stdin } : await fileBytes(file)
  const { bytes } = await call.transfer({
    ...{ method: 'PUT', path: '/blob', query: { mode } },
    headers: { 'content-type': 'application/octet-stream' },
    body: { ...body, bytes: watched(call, 'put', body) },
  })
  const answer = JSON.parse((await all(bytes)).toString('utf8')) as { id: string }
  call.print(call.json ? toJson(answer) : answer.id)
}

async function fileBytes(file: string): Promise<VerbBytes> {
  try {
    const found = await stat(file)
    const { size: length } = found
    // Of what is no plain file, or is one of /proc without a size, nobody knows how long it will be.
    if (found.isFile() && length > 0) return { bytes: exactly(length, file), length }
    if (!found.isDirectory()) return { bytes: createReadStream(file) }
  } catch (cause) {
    throw new TroupeError('malformed', (cause as Error).message, { cause })
  }
  throw new TroupeError('malformed', `${file} is a directory: put its files, or tar it`)
}

/** A file that changes meanwhile is none that could be stored. @throws TroupeError `conflict` */
async function* exactly(length: number, file: string): AsyncGenerator<Uint8Array, void, void> {
  let left = length
  for await (const chunk of createReadStream(file) as AsyncIterable<Buffer>) {
    left -= chunk.length
    if (left < 0) break
    yield chunk
  }
  if (left === 0) return
  const how = left < 0 ? 'grew' : 'became shorter'
  throw new TroupeError('conflict', `${file} ${how} while it was read; nothing of it is stored`)
}

async function get(call: VerbCall): Promise<void> {
  const [id = ''] = call.arguments
  const file = textOf(call, 'output')
  if (call.json && file === undefined)
    throw new TroupeError('malformed', '--json needs --output: the bytes go there')
  const range = textOf(call, 'range')
  if (range !== undefined && !/^(?:\d+-\d*|-\d+)$/.test(range)) {
    const why = `--range: "${range}" is no range such as 0-99, 100- or -100`
    throw new TroupeError('malformed', why)
  }
  const { bytes, headers } = await call.transfer({
    ...{ method: 'GET', path: `/blob/${encodeURIComponent(id)}` },
    headers: range === undefined ? {} : { range: `bytes=${range}` },
  })
  const length = Number(headers['content-length'])
  const content = watched(call, 'get', { bytes, length })
  if (file === undefined) for await (const chunk of content) call.write(chunk)
  else await writeWhole(file, content)
  if (call.json) call.print(toJson({ id, file, bytes: length }))
}

/** Under its name only when it is all there, and on disk. */
async function writeWhole(file: string, content: AsyncIterable<Uint8Array>): Promise<void> {
  if (await isDevice(file)) return writeTo(await open(file, 'w'), content)
  const draft = join(dirname(file), `.${basename(file)}.${randomUUID()}`)
  try {
    await writeTo(await openNew(draft, file), content, { isFlushed: true })
    await rename(draft, file)
  } catch (thrown) {
    await rm(draft, { force: true })
    throw thrown
  }
}

/** @throws TroupeError `malformed`: of the file that was named, not of its draft */
async function openNew(draft: string, file: string): Promise<FileHandle> {
  try {
    return await open(draft, 'wx')
  } catch (cause) {
    const { code = String(cause) } = cause as NodeJS.ErrnoException
    throw new TroupeError('malformed', `${file} cannot be written: ${code}`, { cause })
  }
}

/** A pipe, a terminal, `/dev/null`: nothing to put another file in the place of. */
async function isDevice(file: string): Promise<boolean> {
  const found = await stat(file).catch(() => undefined)
  return found !== undefined && !found.isFile()
}

async function writeTo(
  handle: FileHandle,
  content: AsyncIterable<Uint8Array>,
  { isFlushed = false } = {},
): Promise<void> {
  try {
    for await (const chunk of content) await handle.writeFile(chunk)
    if (isFlushed) await handle.sync()
  } finally {
    await handle.close()
  }
}

async function remove(call: VerbCall): Promise<number> {
  const ended: { id: string; status: string }[] = []
  for (const [at, id] of call.arguments.entries()) {
    call.progress('rm', at, call.arguments.length)
    ended.push({ id, status: await removeOne(call, id) })
  }
  if (call.json) call.print(toJson(ended))
  else for (const { id, status } of ended) call.print(`${id}  ${STATUS_WORDS[status] ?? status}`)
  return ended.some(({ status }) => status === 'not-found') ? NOT_FOUND_EXIT_CODE : 0
}

const STATUS_WORDS: Readonly<Record<string, string>> = {
  accepted: 'accepted: units that are away follow when they are back',
  'not-found': 'there is no such object',
}

async function removeOne(call: VerbCall, id: string): Promise<string> {
  try {
    const path = `/blob/${encodeURIComponent(id)}`
    const { body } = await call.http({ method: 'DELETE', path })
    return (body as { status: string }).status
  } catch (thrown) {
    if (thrown instanceof TroupeError && thrown.code === 'not-found') return 'not-found'
    throw thrown
  }
}

/** With a bar, where it is known how much will come. */
async function* watched(
  call: VerbCall,
  step: string,
  { bytes, length }: VerbBytes,
): AsyncGenerator<Uint8Array, void, void> {
  let done = 0
  for await (const chunk of bytes) {
    yield chunk
    done += chunk.length
    if (length !== undefined) call.progress(step, done, length)
  }
}

async function all(bytes: AsyncIterable<Uint8Array>): Promise<Buffer> {
  const chunks: Uint8Array[] = []
  for await (const chunk of bytes) chunks.push(chunk)
  return Buffer.concat(chunks)
}

function textOf({ options }: VerbCall, name: string): string | undefined {
  const given = options[name]
  return typeof given === 'string' ? given : undefined
}
