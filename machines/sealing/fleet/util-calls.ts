/**
 * What the verbs `troupe util worker info|pause|resume` ask of a worker itself, and what a person reads of it,
 * in our form and in that of v0.2.
 */
import { toJson, type VerbCall } from '../../../src/index.ts'
import { oldRowOf } from './foreign-rows.ts'
import { oldCallLine, oldInfoLines } from './old-forms.ts'
import { isOldForm } from './verb-options.ts'
import { namedTarget } from './worker-target.ts'
import {
  controlInFull,
  indexOf,
  oldControl,
  pauseOf,
  resumeOf,
  showThreads,
} from './worker-verbs.ts'

export async function info(call: VerbCall, name: string): Promise<void> {
  const worker = await namedTarget(call, name)
  if (!isOldForm(call)) return showThreads(call, worker)
  const rows = await worker.call('WorkerList')
  if (call.json) return call.print(toJson(rows))
  for (const line of oldInfoLines(rows.map(oldRowOf))) call.print(line)
}

export async function control(
  call: VerbCall,
  name: string,
  action: 'pause' | 'resume',
): Promise<number> {
  const [, given, state] = call.arguments
  const index = indexOf(call, given)
  const worker = await namedTarget(call, name)
  const request =
    action === 'pause'
      ? { action, index, ...pauseOf(call) }
      : { action, index, ...resumeOf(call), ...(state === undefined ? {} : { state }) }
  if (isOldForm(call)) {
    call.note(oldCallLine(action, await oldControl(worker, request)))
    return 0
  }
  return controlInFull(call, worker, request)
}
