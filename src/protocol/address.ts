/**
 * Where an actor lives: `<machine>/<id>`, a child `<machine>/<id>/<child>`.
 *
 * Decides: which names are legal, the one text form of an address, its form as a NATS subject token,
 * and the shard it belongs to. Leaves to others: who owns that shard.
 *
 * The text form percent-encodes `%`, `/`, white space and what is not printable, so that an address
 * is one key part, one line and one shell word; a subject token encodes `.`, `*` and `>` as well.
 */
import { TroupeError } from './errors.ts'
import { DEFAULT_LIMITS, type Limits } from './limits.ts'

/** An address in its canonical text form, e.g. `job/42` or `order/a%2Fb/payment`. */
export type AddressText = string

export interface Address {
  machine: string
  id: string
  /** Children below the root actor, outermost first; empty for a root actor. */
  path: readonly string[]
}

const MACHINE_NAME = /^[A-Za-z][A-Za-z0-9_-]{0,63}$/
// biome-ignore lint/suspicious/noControlCharactersInRegex: control characters are what is refused
const CONTROL = /[\u0000-\u001f\u007f-\u009f]/
const LONE_SURROGATE = /[\ud800-\udbff](?![\udc00-\udfff])|(?:^|[^\ud800-\udbff])[\udc00-\udfff]/
const PLAIN = /^[A-Za-z0-9_.:@~+,=!$&'()*;-]+$/
const NOT_PLAIN = /[^A-Za-z0-9_.:@~+,=!$&'()*;-]/gu

function encodePart(part: string): string {
  return PLAIN.test(part)
    ? part
    : part.replace(NOT_PLAIN, (character) => encodeURIComponent(character))
}

function refuse(text: string, why: string): never {
  throw new TroupeError(
    'invalid-address',
    `"${text.slice(0, 80)}" is not an address: ${why}. An address is <machine>/<id> or <machine>/<id>/<child>`,
  )
}

function checkId(id: string, whole: string, limits: Pick<Limits, 'idBytesMax'>): void {
  if (id === '') refuse(whole, 'an id must not be empty')
  if (CONTROL.test(id)) refuse(whole, 'an id must not hold control characters')
  if (LONE_SURROGATE.test(id)) refuse(whole, 'an id must be well-formed Unicode')
  const bytes = Buffer.byteLength(id)
  if (bytes > limits.idBytesMax) {
    refuse(
      whole,
      `an id has at most ${limits.idBytesMax} bytes (idBytesMax), this one has ${bytes}`,
    )
  }
}

/** True for a legal name of a machine: a letter, then at most 63 letters, digits, `_` or `-`. */
export function isMachineName(name: string): boolean {
  return MACHINE_NAME.test(name)
}

/**
 * Builds the text form of an address from raw names.
 * @throws TroupeError `invalid-address`
 */
export function formatAddress(
  machine: string,
  id: string,
  path: readonly string[] = [],
  limits: Pick<Limits, 'idBytesMax' | 'addressBytesMax' | 'childDepthMax'> = DEFAULT_LIMITS,
): AddressText {
  if (!MACHINE_NAME.test(machine)) {
    refuse(machine, 'a machine is named by a letter and at most 63 letters, digits, "_" or "-"')
  }
  checkId(id, id, limits)
  let text = `${machine}/${encodePart(id)}`
  for (const child of path) {
    checkId(child, child, limits)
    text += `/${encodePart(child)}`
  }
  if (path.length > limits.childDepthMax) {
    refuse(text, `children go at most ${limits.childDepthMax} deep (childDepthMax)`)
  }
  const bytes = Buffer.byteLength(text)
  if (bytes > limits.addressBytesMax) {
    refuse(text, `an address has at most ${limits.addressBytesMax} bytes (addressBytesMax)`)
  }
  return text
}

/**
 * Reads the text form; what it returns formats to the same canonical text.
 * @throws TroupeError `invalid-address`
 */
export function parseAddress(
  text: string,
  limits: Pick<Limits, 'idBytesMax' | 'addressBytesMax' | 'childDepthMax'> = DEFAULT_LIMITS,
): Address {
  const parts = text.split('/')
  if (parts.length < 2) refuse(text, 'there is no "/" in it')
  const [machine, ...rest] = parts
  const names = rest.map((part) => {
    try {
      return decodeURIComponent(part)
    } catch {
      return refuse(text, 'a percent sign must begin an escape such as %2F')
    }
  })
  const [id, ...path] = names
  formatAddress(machine ?? '', id ?? '', path, limits)
  return { machine: machine ?? '', id: id ?? '', path }
}

/**
 * The canonical text of whatever form the caller used; cheap when it is canonical already.
 * @throws TroupeError `invalid-address`
 */
export function canonicalAddress(text: string, limits?: Limits): AddressText {
  if (SIMPLE_ROOT.test(text) && (limits?.idBytesMax ?? SIMPLE_ID_MAX) >= SIMPLE_ID_MAX) return text
  const { machine, id, path } = parseAddress(text, limits)
  return formatAddress(machine, id, path, limits)
}
const SIMPLE_ID_MAX = 64
/** Most addresses in practice: a root actor whose id needs no escape and no count of bytes. */
const SIMPLE_ROOT = /^[A-Za-z][A-Za-z0-9_-]{0,63}\/[A-Za-z0-9_.:@~+,=!$&'()*;-]{1,64}$/

export function machineOf(address: AddressText): string {
  const slash = address.indexOf('/')
  return slash < 0 ? address : address.slice(0, slash)
}

export function isChild(address: AddressText): boolean {
  return address.indexOf('/', address.indexOf('/') + 1) >= 0
}

/** The address of the actor that spawned this one; undefined for a root actor. */
export function parentOf(address: AddressText): AddressText | undefined {
  return isChild(address) ? address.slice(0, address.lastIndexOf('/')) : undefined
}

/** The address of a child. @throws TroupeError `invalid-address` */
export function childOf(parent: AddressText, childId: string, limits: Limits): AddressText {
  checkId(childId, `${parent}/${childId}`, limits)
  const text = `${parent}/${encodePart(childId)}`
  const depth = text.split('/').length - 2
  if (depth > limits.childDepthMax) {
    refuse(text, `children go at most ${limits.childDepthMax} deep (childDepthMax)`)
  }
  if (Buffer.byteLength(text) > limits.addressBytesMax) {
    refuse(text, `an address has at most ${limits.addressBytesMax} bytes (addressBytesMax)`)
  }
  return text
}

/** The raw name of the last part: the id of a root actor, the child id of a child. */
export function lastName(address: AddressText): string {
  return decodeURIComponent(address.slice(address.lastIndexOf('/') + 1))
}

/** One part of an address as one NATS subject token. */
export function toSubjectToken(name: string): string {
  return encodePart(name).replace(/[.*>]/g, (c) => `%${c.charCodeAt(0).toString(16).toUpperCase()}`)
}

/** Ends the part of an id that decides where its actor lives. */
export const PLACEMENT_MARK = '~'

/**
 * The shard of an address: a hash of its root, so that children live with their root. Actors that talk to
 * each other all the time can be placed together: of an id such as `w1~store1` only what stands before the
 * first `~` counts, whatever the machine. What such actors send each other is stepped in the same commit;
 * all of them share what one shard can do. An id that begins with `~` names no such group.
 *
 * FNV-1a over UTF-16 code units with a final mix; part of the format on disk, so it never changes.
 */
export function shardOf(address: AddressText, shardCount: number): number {
  const id = address.indexOf('/') + 1
  const second = address.indexOf('/', id)
  const rootEnd = second < 0 ? address.length : second
  const mark = address.indexOf(PLACEMENT_MARK, id)
  const isPlaced = mark > id && mark < rootEnd
  return hashPart(address, isPlaced ? id : 0, isPlaced ? mark : rootEnd) % shardCount
}

/** The actor of an effect, of a task or a timer: its id begins with the address. */
export function addressOfEffect(effectId: string): string {
  return effectId.slice(0, effectId.indexOf('#'))
}

function hashPart(text: string, from: number, to: number): number {
  let hash = 0x811c9dc5
  for (let i = from; i < to; i++) {
    hash ^= text.charCodeAt(i)
    hash = Math.imul(hash, 0x01000193)
  }
  hash ^= hash >>> 16
  hash = Math.imul(hash, 0x85ebca6b)
  hash ^= hash >>> 13
  return hash >>> 0
}
