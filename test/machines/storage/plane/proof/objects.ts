/**
 * What a client of the store keeps of its objects, and what it makes of each answer. Decides: which answers
 * are a fault of the store, whatever was killed meanwhile: other bytes than were put, an object that was
 * acknowledged and is denied, one that was deleted and comes back. That something cannot be had now is none.
 */
import { createHash, randomBytes } from 'node:crypto'
import { type BlobId, parseBlobId } from '../../../../../machines/storage/plane/access/blob-id.ts'
import type { StoreFarm } from './store-farm.ts'

export interface StoredObject {
  id: string
  place: BlobId
  sha: string
  /** `dying`: a delete was begun, and nobody has said that it is done. */
  state: 'live' | 'dying' | 'deleted'
  /** Units whose shard the test has damaged. */
  hurt: Set<number>
  /** Somebody is at it whose outcome would change what is right. */
  isBusy: boolean
  /** How it was answered that it is deleted. */
  gone?: { status: number; at: number }
}

/** What a call came to: an answer, or none. */
interface Answer {
  status: number
  body: Buffer
}

const CALL_MS = 60_000
const NONE: Answer = { status: 0, body: Buffer.alloc(0) }

export class Objects {
  readonly all: StoredObject[] = []
  readonly wrong: string[] = []
  readonly counts = { put: 0, putRefused: 0, read: 0, readRefused: 0, deleted: 0, accepted: 0 }
  bytesPut = 0
  readonly #farm: StoreFarm

  constructor(farm: StoreFarm) {
    this.#farm = farm
  }

  live(): StoredObject[] {
    return this.all.filter(({ state }) => state === 'live')
  }

  /** Undefined when it was not acknowledged: nothing is known of it then. */
  async put(mode: string, size: number): Promise<StoredObject | undefined> {
    const bytes = randomBytes(size)
    const { status, body } = await this.#call('PUT', `/blob?mode=${mode}`, bytes)
    if (status !== 201) {
      this.counts.putRefused += 1
      if (status !== 0 && status < 500) this.#complain(`a put: ${status} ${body}`)
      return undefined
    }
    const { id } = JSON.parse(body.toString()) as { id: string }
    const sha = createHash('sha256').update(bytes).digest('hex')
    const place = parseBlobId(id)
    const object: StoredObject = { id, place, sha, state: 'live', hurt: new Set(), isBusy: false }
    this.all.push(object)
    this.counts.put += 1
    this.bytesPut += size
    return object
  }

  /** @returns whether it was answered for good */
  async read(object: StoredObject): Promise<boolean> {
    const before = object.state
    const { status, body } = await this.#call('GET', `/blob/${object.id}`)
    if (status === 200) {
      const sha = createHash('sha256').update(body).digest('hex')
      if (sha !== object.sha) this.#complain(`${nameOf(object)}: other bytes (${body.length})`)
      if (before === 'deleted') {
        const { status: said, at = 0 } = object.gone ?? {}
        const when = `deleted with ${said} ${Date.now() - at} ms ago, and it is there`
        this.#complain(`${nameOf(object)}: ${when}; ${await this.#standingOf(object)}`)
      }
    } else if (status === 404) {
      if (object.state === 'live')
        this.#complain(`${nameOf(object)}: it is said not to be there: ${body}`)
    } else {
      this.counts.readRefused += 1
      if (status !== 503 && status !== 504 && status !== 0)
        this.#complain(`${nameOf(object)}: ${status} ${body}`)
      return false
    }
    this.counts.read += 1
    return true
  }

  /** @returns the status: 200 or 404 when it is gone for good */
  async delete(object: StoredObject): Promise<number> {
    const wasBegun = object.state === 'dying'
    object.state = 'dying'
    const { status, body } = await this.#call('DELETE', `/blob/${object.id}`)
    if (status === 200 || (status === 404 && wasBegun)) {
      object.state = 'deleted'
      object.gone = { status, at: Date.now() }
      this.counts.deleted += 1
    } else if (status === 202) this.counts.accepted += 1
    else if (status === 404) this.#complain(`${nameOf(object)}: deleted before it was: ${body}`)
    return status
  }

  /** The report of an object that cannot be read: its status and text. */
  async report(object: StoredObject): Promise<{ status: number; text: string }> {
    const { status, body } = await this.#call('GET', `/blob/${object.id}`)
    return { status, text: body.toString('latin1').slice(0, 2_000) }
  }

  /** How its volume, its units and its deletion stand. */
  async #standingOf({ place: { slices } }: StoredObject): Promise<string> {
    const { vid = 0, firstBid = 0n } = slices[0] ?? {}
    const paths = [
      `/troupe/v1/actors/volume/${vid}`,
      `/troupe/v1/actors/volume/${vid}/history`,
      `/troupe/v1/actors/blob-delete/${vid}-${firstBid}`,
      `/troupe/v1/actors/blob-delete/${vid}-${firstBid}/history`,
    ]
    const asked = paths.map((path) => this.#farm.ask<unknown>(path).catch(String))
    const units = this.#farm.ask<{ units: { disk_id: number; vuid_text: string }[] }>(
      `/storage/volumes/${vid}`,
    )
    const shards = (await units).units.map(async ({ disk_id, vuid_text }) => {
      const { url } = this.#farm.blobnodeOf(disk_id)
      const path = `/shard/stat/diskid/${disk_id}/vuid/${vuid_text}/bid/${firstBid}`
      const answer = await fetch(`${url}${path}`)
      return `${disk_id} ${vuid_text} ${answer.status} ${await answer.text()}`
    })
    return JSON.stringify([await Promise.allSettled(shards), ...(await Promise.all(asked))])
  }

  #complain(what: string): void {
    this.wrong.push(what.slice(0, 20_000))
  }

  async #call(method: string, path: string, body?: Buffer<ArrayBuffer>): Promise<Answer> {
    const signal = AbortSignal.timeout(CALL_MS)
    const init: RequestInit = { method, signal, ...(body === undefined ? {} : { body }) }
    try {
      const answer = await fetch(`${this.#farm.url}${path}`, init)
      return { status: answer.status, body: Buffer.from(await answer.arrayBuffer()) }
    } catch {
      // Killed, or broken off in the middle of an answer: a client knows nothing then.
      return NONE
    }
  }
}

export function nameOf({ id, place: { mode, size, slices } }: StoredObject): string {
  const [slice] = slices
  return `${mode.name} of ${size} bytes, volume ${slice?.vid}, bid ${slice?.firstBid} (${id})`
}
