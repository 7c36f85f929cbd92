/**
 * The queues that jobs wait in, and job types that only workers know.
 *
 * A job type is the business of the machine that runs it, so a worker may have a table of its own
 * (`troupe worker --config`), and an entry there counts for what it runs. What the node's own table has,
 * any worker runs: the words travel with the job. What it has not, must be run by a worker that has it,
 * and by no other.
 *
 * Decides: that this is a matter of queues. A worker takes, beside the queue of its group, from a queue
 * below it for each type of its table, and so tells its node what it knows by the list of its queues,
 * which it reports anyhow. A job of such a type waits in that queue: it is delivered to nobody else,
 * priorities and slots are as ever, a worker that comes finds it at once, and one that goes takes
 * nothing along. (The other way would be to deliver it to any worker of the group, which gives it back
 * when it lacks the type: that keeps the head of the queue busy with what nobody takes.)
 */
import { type Client, TroupeError } from '../../src/index.ts'

/** The queue of a worker group. */
export function queueOf(groupId: number): string {
  return `job.group.${groupId}`
}

/** What the worker's own table says, in place of the words of a job type. */
export const WORKERS_OWN: readonly string[] = []

/** The queue below `queue` for what only workers know. */
export function typeQueueOf(queue: string, jobType: string): string {
  return `${queue}/${encoded(jobType)}`
}

/** The further queues of a worker with these types. */
export function typeQueues(types: readonly string[], queues: readonly string[]): string[] {
  const ofGroups = queues.filter((queue) => GROUP_QUEUE.test(queue))
  return ofGroups.flatMap((queue) => types.map((jobType) => typeQueueOf(queue, jobType)))
}

export interface GroupTypes {
  /** Workers of the group that are there. */
  workers: number
  /** What some of them know beside the types of the node. */
  types: ReadonlySet<string>
}

/** What the workers of a group know, as they say of themselves. */
export async function typesOfGroup(client: Client, groupId: number): Promise<GroupTypes> {
  const queue = queueOf(groupId)
  const types = new Set<string>()
  let workers = 0
  for (const queues of await queuesOfWorkers(client)) {
    if (!queues.includes(queue)) continue
    workers += 1
    for (const one of queues) {
      if (one.startsWith(`${queue}/`)) types.add(decodeURIComponent(one.slice(queue.length + 1)))
    }
  }
  return { workers, types }
}

async function queuesOfWorkers(client: Client): Promise<string[][]> {
  const found: string[][] = []
  let cursor: string | undefined
  do {
    const page = await client.list({
      filter: { machine: 'worker', state: 'contact.heard' },
      ...(cursor === undefined ? {} : { cursor }),
    })
    found.push(...(await Promise.all(page.rows.map(({ address }) => queuesOf(client, address)))))
    cursor = page.cursor
  } while (cursor !== undefined)
  return found
}

/** None of a worker that an operator deletes at this moment. */
async function queuesOf(client: Client, address: string): Promise<string[]> {
  try {
    const { context } = await client.get(address)
    return (context as { queues?: string[] }).queues ?? []
  } catch (thrown) {
    if (thrown instanceof TroupeError && thrown.code === 'unknown-actor') return []
    throw thrown
  }
}

const GROUP_QUEUE = /^job\.group\.\d+$/

/** One word of a queue's name, whatever the type holds. */
function encoded(text: string): string {
  return text.replace(/[^\w.-]/gu, (character) =>
    [...Buffer.from(character)].map((byte) => `%${byte.toString(16).padStart(2, '0')}`).join(''),
  )
}
