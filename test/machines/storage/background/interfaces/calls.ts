/** Calls as programs of the old store make them: bodies and answers as they are written. */
import { parseStorageJson, vuidOf } from '../../../../../machines/storage/plane/codes/index.ts'
import { until } from '../../../../waiting.ts'
import type { PlaneRig } from '../../plane/plane-rig.ts'

export interface Called {
  status: number
  text: string
  // biome-ignore lint/suspicious/noExplicitAny: what is in it is what the test is about
  body: any
}

const PATIENT = { timeoutMs: 30_000 }

/** @param body as it is written: ids have more digits than a number of JavaScript keeps */
export async function call(
  rig: PlaneRig,
  method: 'GET' | 'POST',
  path: string,
  body?: string,
): Promise<Called> {
  const headers = { 'content-type': 'application/json' }
  const init = body === undefined ? { method } : { method, body, headers }
  const response = await fetch(`${rig.url}${path}`, init)
  const text = await response.text()
  return {
    ...{ status: response.status, text },
    body: text === '' ? undefined : parseStorageJson(text),
  }
}

/** A volume of three units on disks of one AZ, with a further disk to move them to. */
export async function volumeToMove(rig: PlaneRig): Promise<{ vid: number; vuids: bigint[] }> {
  await rig.registerAll({ azs: 1, hosts: 5, disks: 1 })
  const { vid, units } = await rig.made('Replica3OneAZ')
  return { vid, vuids: units.map(({ index, epoch }) => vuidOf({ vid, index, epoch })) }
}

export async function added(rig: PlaneRig, vuid: bigint): Promise<string> {
  const body = `{"vuid":${vuid},"direct_download":true}`
  const answer = await call(rig, 'POST', '/manual/migrate/task/add', body)
  if (answer.status !== 200) throw new Error(answer.text)
  return answer.body.task_id as string
}

/** Waits until the task stands there. */
export async function comesTo(rig: PlaneRig, id: string, at: string): Promise<Called> {
  let last: Called | undefined
  await until(
    async () => {
      last = await call(rig, 'GET', `/storage/tasks/${id}`)
      return last.body.at === at
    },
    PATIENT,
    () => `task ${id} to come to ${at}; it is ${last?.text}`,
  )
  return last as Called
}
