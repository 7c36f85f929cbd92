/** What tests of stores share: rows as text, outcomes as one line. */
import type { Store, StoreRange, StoreTransaction } from '../../src/ports/index.ts'
import { bytes, text } from './support.ts'

export type Writes = [key: string, value: string | null][]

export function writesOf(writes: Writes): StoreTransaction['writes'] {
  return writes.map(([key, value]) => [bytes(key), value === null ? null : bytes(value)] as const)
}

/** Resolves with what was told, in order, once it is final. */
export function write(
  store: Store,
  writes: Writes,
  condition?: { key: string; equals: string },
): Promise<string> {
  return new Promise((resolve) => {
    const told: string[] = []
    let returned = false
    const tell = (what: string): void => {
      told.push(returned ? what : `${what} before the call returned`)
    }
    store.write({
      writes: writesOf(writes),
      ...(condition && {
        condition: { key: bytes(condition.key), equals: bytes(condition.equals) },
      }),
      visible: () => tell('visible'),
      flushed: () => {
        tell('flushed')
        resolve(told.join(' '))
      },
      failed: ({ kind }) => {
        tell(kind)
        resolve(told.join(' '))
      },
    })
    returned = true
  })
}

export function read(store: Store, key: string): string | undefined {
  return text(store.get(bytes(key)))
}

export function keys(
  store: Store,
  from: string,
  to: string,
  more: Partial<StoreRange> = {},
): string[] {
  const range = store.range({ from: bytes(from), to: bytes(to), ...more })
  return [...range].map(({ key }) => text(key)!)
}
