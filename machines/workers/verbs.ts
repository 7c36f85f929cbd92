/** The verbs `troupe workers`. Decides: what a person types and reads. */
import { type AppVerb, toJson, type VerbCall, wait } from '../../src/verbs.ts'
import type { GroupKey, GroupSummary } from './groups.ts'
import type { WorkerSummary } from './workers.ts'

const DRAINED_EVERY_MS = 500

export const verbs: readonly AppVerb[] = [
  {
    path: ['workers', 'list'],
    summary: 'list the workers: who is there, and why it takes nothing new',
    examples: ['troupe workers list'],
    run: list,
  },
  {
    path: ['workers', 'online'],
    summary: 'give a worker new tasks again',
    arguments: '<name>',
    examples: ['troupe workers online w1'],
    run: async (call) => show(call, await set(call, 'online')),
  },
  {
    path: ['workers', 'offline'],
    summary: 'give a worker no new tasks; what runs goes on',
    arguments: '<name>',
    examples: ['troupe workers offline w1'],
    run: async (call) => show(call, await set(call, 'offline')),
  },
  {
    path: ['workers', 'drain'],
    summary: 'give a worker no new tasks, and wait until nothing runs on it any more',
    arguments: '<name>',
    options: [{ flags: '--no-wait', description: 'do not wait' }],
    examples: ['troupe workers drain w1 && systemctl stop troupe-worker'],
    run: drain,
  },
  {
    path: ['workers', 'groups', 'add'],
    summary: 'add a group of workers; prints its key',
    arguments: '<group>',
    options: [
      {
        flags: '--queue <queue...>',
        description: 'what its workers take tasks from (job.group.<group>)',
      },
    ],
    examples: ['troupe workers groups add 2', 'troupe workers groups add mail --queue mail'],
    run: addGroup,
  },
  {
    path: ['workers', 'groups', 'list'],
    summary: 'list the groups of workers',
    examples: ['troupe workers groups list'],
    run: listGroups,
  },
  {
    path: ['workers', 'groups', 'rotate'],
    summary: 'give a group a new key; the old one opens nothing any more',
    arguments: '<group>',
    examples: ['troupe workers groups rotate 2'],
    run: rotate,
  },
]

async function list(call: VerbCall): Promise<void> {
  const { body } = await call.http({ method: 'GET', path: '/workers' })
  if (call.json) return call.print(toJson(body))
  const { workers } = body as { workers: WorkerSummary[] }
  for (const one of workers) call.print(lineOf(one, call.clock.now()))
  if (workers.length === 0) call.note('There are no workers: troupe worker --help')
}

function lineOf(one: WorkerSummary, now: number): string {
  const { name, status, group, address, slots, running, load, version, heardAt, refusals } = one
  const words = [
    name,
    status,
    group === '' ? 'own worker of its node' : `group ${group}`,
    address === '' ? 'no address' : address,
    `${running ?? '?'}/${slots} running`,
    ...(load === undefined ? [] : [`load ${load.toFixed(2)}`]),
    `v${version}`,
    `heard ${Math.max(0, Math.round((now - heardAt) / 1_000))} s ago`,
  ]
  const why = refusals.length === 0 ? '' : `  takes nothing: ${refusals.join('; ')}`
  // A worker writes these words.
  return `${words.join('  ')}${why}`.replace(/\p{Cc}/gu, ' ')
}

async function set(call: VerbCall, verb: 'online' | 'offline' | 'drain'): Promise<WorkerSummary> {
  const path = `${pathOf(call)}/${verb}`
  const { body } = await call.http({ method: 'POST', path })
  return body as WorkerSummary
}

async function drain(call: VerbCall): Promise<void> {
  let view = await set(call, 'drain')
  while (call.options['wait'] !== false && view.status === 'draining' && !call.signal.aborted) {
    await wait(call, DRAINED_EVERY_MS)
    const { body } = await call.http({ method: 'GET', path: pathOf(call) })
    view = body as WorkerSummary
  }
  show(call, view)
}

function show(call: VerbCall, view: WorkerSummary): void {
  call.print(call.json ? toJson(view) : lineOf(view, call.clock.now()))
}

function pathOf(call: VerbCall): string {
  return `/workers/${encodeURIComponent(call.arguments[0] ?? '')}`
}

async function addGroup(call: VerbCall): Promise<void> {
  const [group = ''] = call.arguments
  const queues = call.options['queue']
  const { body } = await call.http({
    method: 'POST',
    path: '/workers/groups',
    body: { group, queues },
  })
  showKey(call, body as GroupKey)
}

async function rotate(call: VerbCall): Promise<void> {
  const path = `/workers/groups/${encodeURIComponent(call.arguments[0] ?? '')}/rotate`
  const { body } = await call.http({ method: 'POST', path })
  showKey(call, body as GroupKey)
}

function showKey(call: VerbCall, { group, queues, key }: GroupKey): void {
  if (call.json) return call.print(toJson({ group, queues, key }))
  call.print(key)
  call.note(`This is the key of group ${group} (${queues.join(', ')}). It is not shown again.`)
  call.note(`Start a worker with it: TROUPE_WORKER_KEY=… troupe worker --group ${group}`)
}

async function listGroups(call: VerbCall): Promise<void> {
  const { body } = await call.http({ method: 'GET', path: '/workers/groups' })
  if (call.json) return call.print(toJson(body))
  const { groups } = body as { groups: GroupSummary[] }
  for (const { group, status, queues, keyedAt } of groups) {
    call.print(
      `${group}  ${status}  ${queues.join(', ')}  key of ${new Date(keyedAt).toISOString()}`,
    )
  }
  if (groups.length === 0) call.note('There are no groups yet: troupe workers groups add 2')
}
