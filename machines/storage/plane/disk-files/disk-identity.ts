/**
 * Whose a directory is. Decides: that the file `disk.json`, written once, says which disk it is for good, by a
 * uuid that no other directory has, too, so that an empty one is never taken for the one that lay there; that a
 * directory with other files in it is nobody's disk; and that only one process has it (a file in
 * `owners/` for each that tries: who then sees another one's that lives gives way, so two may both give way,
 * and never both have it).
 */
import { randomUUID } from 'node:crypto'
import { mkdirSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { z } from 'zod'
import { type ProcessIdentity, processIdentityOf, processLives } from '../../../../src/index.ts'
import { refusal } from '../codes/index.ts'
import { errnoOf, type FileOps } from './file-ops.ts'

export const IDENTITY_FILE = 'disk.json'
const OWNERS = 'owners'
const FORMAT = 1
/** Of a file system of its own. */
const FOREIGN_NAMES: ReadonlySet<string> = new Set(['lost+found', OWNERS])
const IDENTITY_BYTES_MAX = 4_096

const identitySchema = z.object({
  format: z.literal(FORMAT),
  diskId: z.int().min(1),
  uuid: z.uuid(),
})
const ownerSchema = z.object({
  pid: z.int().min(1),
  startTicks: z.int(),
  bootId: z.string(),
})

/** @returns its uuid @throws StorageRefusal 606 when something else is in it, 614 when it is another disk's */
export async function claimDirectory(
  ops: FileOps,
  directory: string,
  diskId: number,
): Promise<string> {
  const path = join(directory, IDENTITY_FILE)
  const names = await ops.names(directory)
  if (!names.includes(IDENTITY_FILE)) {
    const others = names.filter((name) => !FOREIGN_NAMES.has(name) && !isDraft(name))
    if (others.length > 0) {
      const why = `${directory} is no disk and is not empty (${others.slice(0, 3).join(', ')})`
      throw refusal(606, `${why}; give disk ${diskId} a directory of its own`)
    }
    await writeIdentity(ops, directory, diskId)
  }
  const identity = await readIdentity(ops, path)
  if (identity.diskId === diskId) return identity.uuid
  throw refusal(
    614,
    `${directory} is disk ${identity.diskId}, not ${diskId}; mind the order of disks`,
  )
}

/** Written beside it, so that it is there whole or not at all. */
async function writeIdentity(ops: FileOps, directory: string, diskId: number): Promise<void> {
  const path = join(directory, IDENTITY_FILE)
  const draft = `${path}.draft`
  const identity = { format: FORMAT, diskId, uuid: randomUUID() }
  const file = await ops.open(draft, 'draft')
  try {
    await file.write([Buffer.from(JSON.stringify(identity))], 0)
    await file.sync()
  } finally {
    await file.close()
  }
  await ops.rename(draft, path)
  await ops.syncDirectory(directory)
}

async function readIdentity(ops: FileOps, path: string): Promise<z.infer<typeof identitySchema>> {
  const file = await ops.open(path, 'read')
  const bytes = Buffer.alloc(IDENTITY_BYTES_MAX)
  let read = 0
  try {
    read = await file.read(bytes, 0)
  } finally {
    await file.close()
  }
  try {
    return identitySchema.parse(JSON.parse(bytes.toString('utf8', 0, read)))
  } catch (thrown) {
    throw refusal(603, `${path} cannot be read: ${String(thrown)}; set it right by hand`)
  }
}

function isDraft(name: string): boolean {
  return name === `${IDENTITY_FILE}.draft`
}

/** @returns gives it back @throws StorageRefusal 607 while another one has it */
export function ownDirectory(directory: string): () => void {
  const place = join(directory, OWNERS)
  mkdirSync(place, { recursive: true })
  const own = randomUUID()
  writeOwner(join(place, own))
  for (const name of readdirSync(place)) {
    if (name === own) continue
    const owner = readOwner(join(place, name))
    if (owner && processLives(owner)) {
      rmSync(join(place, own), { force: true })
      const why = `${directory} is used by the process ${owner.pid}`
      throw refusal(607, `${why}; stop that one, or use another directory`)
    }
    // A draft may be on its way to be a name; what became of a name is judged under it.
    if (!name.endsWith('.draft')) rmSync(join(place, name), { force: true })
  }
  return () => {
    try {
      rmSync(join(place, own), { force: true })
    } catch {
      // A file system that is gone: this process will be found dead.
    }
  }
}

/** It has its name when it is whole: what cannot be read was cut by a loss of power. */
function writeOwner(path: string): void {
  const { startTicks, bootId } = processIdentityOf(process.pid)!
  const owner: ProcessIdentity = { pid: process.pid, startTicks, bootId }
  const draft = `${path}.draft`
  writeFileSync(draft, JSON.stringify(owner), { mode: 0o600 })
  renameSync(draft, path)
}

function readOwner(path: string): ProcessIdentity | undefined {
  if (path.endsWith('.draft')) return undefined
  try {
    return ownerSchema.parse(JSON.parse(readFileSync(path, 'utf8')))
  } catch (thrown) {
    if (errnoOf(thrown) === undefined || errnoOf(thrown) === 'ENOENT') return undefined
    throw thrown
  }
}
