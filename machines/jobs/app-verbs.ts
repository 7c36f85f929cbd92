/** The verbs `troupe apps`. Decides: what a person types and reads of the apps that may submit jobs. */
import { toJson, type VerbCall } from '../../src/verbs.ts'
import type { AppSummary } from './apps.ts'

export async function addApp(call: VerbCall): Promise<void> {
  const { body } = await call.http({
    method: 'POST',
    path: '/jobs/apps',
    body: { name: call.arguments[0], admin: call.options['admin'] === true },
  })
  if (call.json) return call.print(toJson(body))
  const { name, appKey } = body as { name: string; appKey: string }
  call.print(appKey)
  call.note(
    `This is the key of app ${name}. It is not shown again; whoever knows it acts as the app.`,
  )
  call.note(`A token made of it: troupe apps token ${name}`)
}

export async function listApps(call: VerbCall): Promise<void> {
  const { body } = await call.http({ method: 'GET', path: '/jobs/apps' })
  if (call.json) return call.print(toJson(body))
  const { apps } = body as { apps: AppSummary[] }
  for (const { name, status, createdAt, isAdmin } of apps) {
    const since = new Date(createdAt).toISOString()
    call.print(`${name}  ${status}  since ${since}${isAdmin ? '  admin' : ''}`)
  }
  if (apps.length === 0) call.note('There are no apps yet: troupe apps add NAME')
}

export async function printToken(call: VerbCall): Promise<void> {
  const path = `/jobs/apps/${encodeURIComponent(call.arguments[0] ?? '')}/token`
  const { body } = await call.http({ method: 'POST', path })
  call.print(call.json ? toJson(body) : (body as { token: string }).token)
}
