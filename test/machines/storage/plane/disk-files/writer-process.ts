/**
 * Writes to the disk in the directory that it is given until it is killed: `put <bid> <size> <seed>`,
 * `mark <bid>` and `delete <bid>` on stdout once that is acknowledged, and the same with a `?` before it is begun.
 * Arguments: the directory, a seed, and how many do so at once.
 */

import { writeSync } from 'node:fs'
import { DiskFiles } from '../../../../../machines/storage/plane/disk-files/index.ts'
import { silentLog } from '../../../../../src/adapters/system/index.ts'
import { systemClock } from '../../../../../src/index.ts'
import { CHUNK_BYTES, content, inPieces, randomOf, VUID } from './contents.ts'

const [directory = '', seed = '1', writers = '1'] = process.argv.slice(2)
const say = (line: string) => writeSync(1, `${line}\n`)

const disk = await DiskFiles.open({
  ...{ directory, diskId: 7, clock: systemClock(), log: silentLog, reservedBytes: 0 },
})
await disk.createChunk(VUID, CHUNK_BYTES)
say('ready')

/** Each has shards of its own, so that what it did last to one is known. */
async function write(writer: number): Promise<void> {
  const random = randomOf(Number(seed) * 1_000 + writer)
  for (let round = 0; ; round += 1) {
    const bid = BigInt(
      writer * 1_000_000 + Math.floor(random() * 12) + 12 * Math.floor(round / 60) + 1,
    )
    const dice = random()
    // Long enough to tell each content from all others.
    const size = 16 + Math.floor(dice < 0.05 ? random() * 2_500_000 : random() ** 3 * 200_000)
    const version = Math.floor(random() * 1_000)
    if (dice < 0.75) {
      const bytes = content(size, version)
      const body = size % 2 === 0 ? bytes : inPieces(bytes, 65_536)
      await attempt(`put ${bid} ${size} ${version}`, () => disk.putShard(VUID, bid, size, body))
    } else if (dice < 0.9) await attempt(`mark ${bid}`, () => disk.markDeleted(VUID, bid))
    else await attempt(`delete ${bid}`, () => disk.deleteShard(VUID, bid))
  }
}

async function attempt(what: string, act: () => Promise<unknown>): Promise<void> {
  say(`? ${what}`)
  try {
    await act()
    say(what)
  } catch {
    say(`! ${what}`)
  }
}

if (writers === '0') setInterval(() => {}, 1_000)
else await Promise.all(Array.from({ length: Number(writers) }, (_none, index) => write(index)))
