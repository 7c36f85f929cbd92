/**
 * Where a setting stands in the text of a configuration. Decides: that what is not there has the line
 * of the nearest section above it.
 */
import { type Document, isMap, isNode, isScalar, LineCounter, parseDocument } from 'yaml'

/** The line of the key at a path, or of the nearest thing above it that has one. */
export function lineOf(
  document: Document,
  lines: LineCounter,
  path: readonly PropertyKey[],
): number {
  for (let depth = path.length; depth > 0; depth--) {
    const line = ownLineOf(document, lines, path.slice(0, depth))
    if (line !== undefined) return line
  }
  return 1
}

function ownLineOf(
  document: Document,
  lines: LineCounter,
  path: readonly PropertyKey[],
): number | undefined {
  const parent = path.length === 1 ? document.contents : document.getIn(path.slice(0, -1), true)
  const key = path.at(-1)
  const pair = isMap(parent)
    ? parent.items.find((item) => isScalar(item.key) && item.key.value === key)
    : undefined
  const found = pair?.key ?? document.getIn(path, true)
  return isNode(found) && found.range ? lines.linePos(found.range[0]).line : undefined
}

/** Of one text, for those that judge its values later. */
export interface ConfigLines {
  /** Of the setting itself; undefined when the text does not say it. */
  own(path: readonly PropertyKey[]): number | undefined
  /** Of the setting or of the nearest section above it; undefined when there is none. */
  nearest(path: readonly PropertyKey[]): number | undefined
}

/** @param yaml what `parseConfig` has taken */
export function configLines(yaml: string): ConfigLines {
  const lines = new LineCounter()
  const document = parseDocument(yaml, { lineCounter: lines, prettyErrors: false, version: '1.2' })
  const keyed = (path: readonly PropertyKey[]) =>
    // Paths in messages are texts; entries of lists are numbered.
    path.map((key) => (/^\d+$/.test(String(key)) ? Number(key) : key))
  const own = (path: readonly PropertyKey[]) =>
    ownLineOf(document, lines, path) ?? ownLineOf(document, lines, keyed(path))
  return {
    own,
    nearest: (path) => {
      for (let depth = path.length; depth > 0; depth--) {
        const line = own(path.slice(0, depth))
        if (line !== undefined) return line
      }
      return undefined
    },
  }
}
