/** The verb `troupe storage switch`. Decides: what a person types and reads. */
import {
  type AppVerb,
  plainTable,
  TroupeError,
  toJson,
  type VerbCall,
} from '../../../../src/verbs.ts'
import { askStore } from '../../plane/verb-calls.ts'

const PATH = '/storage/switches'
const ON: Readonly<Record<string, boolean>> = { on: true, off: false }

export const switchVerbs: readonly AppVerb[] = [
  {
    path: ['storage', 'switch'],
    summary: 'switch a background task on or off, at once and on all nodes; alone: list them',
    arguments: '[name] [on|off]',
    examples: [
      'troupe storage switch',
      'troupe storage switch balance on',
      'troupe storage switch blob_delete off',
    ],
    run: runSwitch,
  },
]

async function runSwitch(call: VerbCall): Promise<void> {
  const [name, word] = call.arguments
  if (word === undefined) return show(call, await read(call), name)
  show(call, await setSwitch(call, name ?? '', word), name)
}

/** @throws TroupeError `malformed` */
export async function setSwitch(
  call: VerbCall,
  name: string,
  word: string,
): Promise<Record<string, boolean>> {
  const on = ON[word]
  if (on === undefined) throw new TroupeError('malformed', `"${word}" is neither on nor off`)
  const path = `${PATH}/${encodeURIComponent(name)}`
  return switchesOf(await askStore(call, { method: 'POST', path, body: { on } }))
}

async function read(call: VerbCall): Promise<Record<string, boolean>> {
  return switchesOf(await askStore(call, { method: 'GET', path: PATH }))
}

function switchesOf(body: unknown): Record<string, boolean> {
  return (body as { switches: Record<string, boolean> }).switches
}

function show(call: VerbCall, switches: Record<string, boolean>, name?: string): void {
  if (name !== undefined && switches[name] === undefined) {
    const why = `"${name}" is no switch; there are: ${Object.keys(switches).join(', ')}`
    throw new TroupeError('not-found', why)
  }
  if (call.json) return call.print(toJson(switches))
  const rows = Object.entries(switches)
    .filter(([one]) => name === undefined || one === name)
    .map(([one, isOn]) => [one, isOn ? 'on' : 'off'])
  for (const line of plainTable(['TASK', 'SWITCH'], rows)) call.print(line)
}
