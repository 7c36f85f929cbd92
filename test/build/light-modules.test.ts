/** Which modules are light, and what stands together. */
import { expect, it } from 'vitest'
import { lightModules } from '../../build/light-modules.ts'
import { makeTree } from './tree.ts'

const VERBS = {
  'src/main.ts': `import { run } from './run.ts'
    run([() => import('./pause.ts'), () => import("./list.ts"), () => import('./serve.ts')])`,
  'src/run.ts': `import { Command } from 'commander'
    import { fail } from './errors.ts'
    export const run = (verbs: unknown) => fail(new Command(), verbs)`,
  'src/errors.ts': 'export const fail = (...all: unknown[]) => all',
  'src/pause.ts': `import type { Server } from './serve.ts'
    import { table } from './table.ts'
    import { wait } from './wait.ts'
    export const pause = (server: Server) => [server, table, wait]`,
  'src/list.ts': `export { table } from './table.ts'
    export * from './rows.ts'
    export type { Server } from './serve.ts'`,
  'src/table.ts': "import { inspect } from 'node:util'\nexport const table = inspect",
  'src/wait.ts': 'export const wait = 1',
  'src/rows.ts': 'export const later = () => import("./page.ts")',
  'src/page.ts': 'export const page = 1',
  'src/serve.ts':
    "import { z } from 'zod'\nexport type Server = z.ZodType\nexport const serve = z.string()",
}

it('all that loads no package but the reader of words, now or later', () => {
  expect(Object.fromEntries(lightModules(makeTree(VERBS)))).toEqual({
    'src/main.ts': 'main',
    'src/run.ts': 'command',
    'src/errors.ts': 'light',
    'src/pause.ts': 'src-pause',
    'src/wait.ts': 'src-pause',
    'src/list.ts': 'src-list',
    'src/rows.ts': 'src-list',
    // Two of them load it.
    'src/table.ts': 'light',
    'src/page.ts': 'src-page',
  })
})

it.each([
  ['loads a package on the way', "import 'zod'", 'src/errors.ts loads zod'],
  [
    'asks where it is',
    'export const here = import.meta.url',
    'src/errors.ts asks for its own place (import.meta)',
  ],
])('refuses an entry that %s', (_, text, why) => {
  const root = makeTree({ ...VERBS, 'src/errors.ts': `${text}\n${VERBS['src/errors.ts']}` })
  expect(() => lightModules(root)).toThrow(`src/main.ts is not light: ${why}`)
})

it('leaves in its place what asks for it', () => {
  const root = makeTree({ ...VERBS, 'src/page.ts': 'export const here = import.meta.url' })
  expect([...lightModules(root).keys()]).not.toContain('src/page.ts')
})

it('names a file that cannot be read as a module', () => {
  const root = makeTree({ ...VERBS, 'src/wait.ts': 'export const = 1' })
  expect(() => lightModules(root)).toThrow('src/wait.ts: ')
})
