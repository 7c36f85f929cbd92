/**
 * Bodies of requests to apps. Decides: what a content type is read as: JSON, a form, text, or what
 * the route's own parsers make of it.
 */
import type { AppRoute } from '../node/index.ts'
import { TroupeError } from '../protocol/index.ts'
import { splitOnce } from './exchange.ts'
import { readJson, textOf } from './json.ts'
import { HttpRefusal } from './statuses.ts'

/** @throws TroupeError `malformed`; whatever a parser of the app throws counts as that too */
export function parseAppBody(
  route: AppRoute,
  contentType: string | undefined,
  bytes: Uint8Array,
): unknown {
  if (bytes.length === 0) return undefined
  const media = (splitOnce(contentType ?? '', ';')[0] ?? '').trim().toLowerCase()
  const own = route.parsers?.[media]
  if (own) return parseBy(own, media, bytes)
  if (media === 'application/x-www-form-urlencoded') return formOf(textOf(bytes))
  if (media === 'application/json' || media.endsWith('+json')) return readJson(bytes)
  if (media === '') return guessOf(bytes)
  if (media === 'text/plain') return textOf(bytes)
  const known = [
    'application/json',
    'application/x-www-form-urlencoded',
    'text/plain',
    ...Object.keys(route.parsers ?? {}),
  ]
  throw new HttpRefusal(
    415,
    'malformed',
    `bodies of type ${media.slice(0, 60)} are not read here; these are: ${known.join(', ')}`,
  )
}

function parseBy(parse: (bytes: Uint8Array) => unknown, media: string, bytes: Uint8Array): unknown {
  try {
    return parse(bytes)
  } catch (thrown) {
    if (thrown instanceof TroupeError) throw thrown
    throw new TroupeError('malformed', `the body is not ${media}`, { cause: thrown })
  }
}

function formOf(text: string): Record<string, string | string[]> {
  return listed(new URLSearchParams(text))
}

/** A name given once has a text; one given several times a list of texts. */
export function listed(search: URLSearchParams): Record<string, string | string[]> {
  const fields = new Map<string, string | string[]>()
  for (const [name, value] of search) {
    const known = fields.get(name)
    // In place: a body may repeat one name a hundred thousand times.
    if (Array.isArray(known)) known.push(value)
    else fields.set(name, known === undefined ? value : [known, value])
  }
  // Defines own fields whatever their names; none can reach a prototype.
  return Object.fromEntries(fields)
}

/** Without a content type: JSON when it begins like an object or a list, else a form. */
function guessOf(bytes: Uint8Array): unknown {
  const text = textOf(bytes)
  return /^\s*[[{]/.test(text) ? readJson(bytes) : formOf(text)
}
