/** The configuration: defaults, and mistakes that name their line, their path and what is wanted. */
import { readFileSync } from 'node:fs'
import { expect, it } from 'vitest'
import { DEFAULT_CONFIG, nearest, parseConfig } from '../../src/protocol/index.ts'

const shipped = new URL('../../config/troupe.yaml', import.meta.url)

it('the example says every default', () => {
  const config = parseConfig(readFileSync(shipped, 'utf8'), 'config/troupe.yaml')
  expect(config).toEqual(DEFAULT_CONFIG)
})

it('the settings without a fixed default stand in the example as comments', () => {
  const text = readFileSync(shipped, 'utf8').replace(/^( *)# (name:|queues:)/gm, '$1$2')
  expect(parseConfig(text, 'x')).toMatchObject({ name: 'n1', worker: { queues: ['default'] } })
})

it.each(['', '# nothing\n', '---\n', 'http:\n  port: 0\n'])('takes %j', (text) => {
  expect(parseConfig(text, 'x')).toBeTypeOf('object')
})

it('hands the sections of apps over as they are', () => {
  expect(parseConfig('apps:\n  jobs: { groups: [1, 2] }\n', 'x').apps).toEqual({
    jobs: { groups: [1, 2] },
  })
})

it.each([
  ['http:\n  prt: 1\n', 't.yaml:2: http.prt: there is no such setting; did you mean "port"?'],
  ['\n\nnmae: x\n', 't.yaml:3: nmae: there is no such setting; did you mean "name"?'],
  ['zebra: 1\n', 't.yaml:1: zebra: there is no such setting (known are: name, cluster,'],
  ['http:\n  host: h\n  port: many\n', 't.yaml:3: http.port: wanted is a port: a whole number'],
  ['http: {port: 70000}\n', 't.yaml:1: http.port: wanted is a port'],
  [
    'limits:\n  # a comment\n  idBytesMax: 0\n',
    't.yaml:3: limits.idBytesMax: wanted is a whole number from 1, not 0',
  ],
  [
    'limits:\n  idBytesMux: 5\n',
    't.yaml:2: limits.idBytesMux: there is no such setting; did you mean "idBytesMax"?',
  ],
  [
    'data: x\nlimits: {payloadBytesMax: 999999999}\n',
    't.yaml:2: limits: payloadBytesMax (999999999) < actorBytesMax',
  ],
  ['worker:\n  queues:\n    - a\n    - 7\n', 't.yaml:4: worker.queues.1: wanted is a text, not 7'],
  [
    'log:\n  level: loud\n',
    't.yaml:2: log.level: wanted is one of: debug, info, warn, error, silent, not "loud"',
  ],
  [
    'http:\n  users:\n    - { name: a, role: boss, tokenFile: x }\n',
    't.yaml:3: http.users.0.role: wanted is one of: read, operate, admin, not "boss"',
  ],
  [
    'http:\n  users:\n    - name: a\n      role: read\n',
    't.yaml:3: http.users.0.tokenFile: wanted is exactly one of tokenSha256 and tokenFile',
  ],
  [
    'http:\n  users:\n    - name: a\n      role: read\n      token: plain\n',
    't.yaml:5: http.users.0.token: there is no such setting (known are: name, role, tokenSha256,',
  ],
  [
    'http:\n  users:\n    - { name: a, role: read, tokenFile: x }\n    - { name: a, role: read, tokenFile: y }\n',
    't.yaml:4: http.users.1.name: wanted is a name that no other user has',
  ],
  [
    'listeners:\n  - app: jobs\n    port: 1\n    anonymous: [10.0.0.0/33]\n',
    't.yaml:4: listeners.0.anonymous.0: wanted is a network such as 10.0.0.0/8 or fd00::/8, or',
  ],
  ['listeners:\n  - app: jobs\n', 't.yaml:2: listeners.0.port: wanted is a port'],
  [
    'listeners:\n  - { app: jobs, prt: 1, port: 1 }\n',
    't.yaml:2: listeners.0.prt: there is no such setting; did you mean "port"?',
  ],
  ['name: "a b"\n', 't.yaml:1: name: wanted is a name of'],
  ['- a\n', 't.yaml:1: the file: wanted is a section of keys and values'],
  ['a: [1\nb: 2\n', 't.yaml:2: not YAML: '],
  ['data: x\ndata: y\n', 't.yaml:2: not YAML: '],
])('refuses %j', (text, message) => {
  let thrown: unknown
  try {
    parseConfig(text, 't.yaml')
  } catch (error) {
    thrown = error
  }
  expect(thrown).toMatchObject({ code: 'invalid-config' })
  expect((thrown as Error).message).toContain(message)
})

it('never shows what stands where the hash of a token is wanted', () => {
  const text = 'http:\n  users:\n    - { name: a, role: read, tokenSha256: a-plain-token }\n'
  const message = /^f:3: http\.users\.0\.tokenSha256: wanted is .* not what stands there$/
  expect(() => parseConfig(text, 'f')).toThrow(message)
})

it('names every mistake, one per line', () => {
  expect(() => parseConfig('name: 7\nhttp:\n  port: x\n', 'f')).toThrow(
    /^f:1: name: .*\nf:3: http\.port: .*$/,
  )
})

it('is not blown up by aliases of aliases', () => {
  const rows = ['a: &a [x,x,x,x,x,x,x,x,x,x]']
  for (const [one, next] of ['ab', 'bc', 'cd', 'de', 'ef'])
    rows.push(`${next}: &${next} [${`*${one},`.repeat(10)}]`)
  expect(() => parseConfig(`apps:\n  ${rows.join('\n  ')}\n`, 'f')).toThrow(/alias/)
})

it('suggests names that are near, and none that are far', () => {
  expect(nearest('stat', ['state', 'retry'])).toBe('state')
  expect(nearest('banana', ['state', 'retry'])).toBeUndefined()
})
