/** The families in parts, as the command has them, are the families as a node has them. */
import { expect, it } from 'vitest'
import { apps } from '../../machines/index.ts'
import { lazyApps } from '../../machines/light.ts'

it('are all of them, in their order', async () => {
  const loaded = await Promise.all(lazyApps.map((app) => app.load()))
  expect(loaded.map(({ name }) => name)).toEqual(apps.map(({ name }) => name))
  expect(lazyApps.map(({ name }) => name)).toEqual(apps.map(({ name }) => name))
})

it.each(lazyApps)('$name has the same verbs, each by its first words', async (lazy) => {
  const app = await lazy.load()
  expect(lazy.verbGroups).toEqual(app.verbGroups)
  const found: string[] = []
  for (const [words, load] of Object.entries(lazy.verbs)) {
    const paths = (await load()).map(({ path }) => path.join(' '))
    found.push(...paths.filter((path) => path.startsWith(`${words} `)))
  }
  const paths = (app.verbs ?? []).map(({ path }) => path.join(' '))
  expect(found.sort()).toEqual(paths.sort())
})
