/**
 * A resolve hook, run by Node beside the main program (module.register). Decides: that `troupe` and
 * `troupe/verbs` in a user's module are of the very program that loads it, wherever the module lies; that
 * `xstate` and `zod` are ours where the user has none; and that a user's .ts file without a package around it
 * is an ES module.
 */
import type { InitializeHook, ResolveHook } from 'node:module'

/** What the main program hands over: URLs. */
export interface ImportsData {
  /** Our public doors, by the names that users import them by. */
  doors: Readonly<Record<string, string>>
  /** A file of ours, from which our packages are found. */
  parent: string
}

const LENT = /^(?:xstate|zod)(?:\/|$)/
let ours: ImportsData | undefined

export const initialize: InitializeHook<ImportsData> = (data) => {
  ours = data
}

export const resolve: ResolveHook = async (specifier, context, nextResolve) => {
  const door = new Map(Object.entries(ours?.doors ?? {})).get(specifier)
  if (door !== undefined) return nextResolve(door, context)
  try {
    const found = await nextResolve(specifier, context)
    const isTypeScript = found.url.startsWith('file:') && /\.ts(?:$|\?)/.test(found.url)
    const isTheirs = !found.url.includes('/node_modules/')
    return isTypeScript && isTheirs && found.format === 'commonjs'
      ? { ...found, format: 'module' }
      : found
  } catch (thrown) {
    if (!ours || !LENT.test(specifier)) throw thrown
    return nextResolve(specifier, { ...context, parentURL: ours.parent })
  }
}
