/**
 * The family `jobs`: shell commands as durable jobs, submitted over HTTP or from the command line.
 * README.md says what it offers; here it is put together.
 */
import { type AppContext, defineApp } from '../../src/index.ts'
import { Apps } from './apps.ts'
import { type JobsConfig, jobsConfig } from './config.ts'
import { Jobs } from './jobs.ts'
import { app, JOB_IDS, job, jobIds } from './machines.ts'
import { operatorRoutes } from './operator-routes.ts'
import { quoteWord } from './quote.ts'
import { serverRoutes } from './server-routes.ts'
import { verbs } from './verbs.ts'

const DEMO_APP = 'demo'
const DEMO_COMMAND = 'echo hello from $(uname -n)'

export const jobs = defineApp<JobsConfig>({
  name: 'jobs',
  machines: [job, app, jobIds],
  singletons: [JOB_IDS],
  config: jobsConfig,
  routes: (context) => {
    const apps = new Apps(context)
    const all = new Jobs(context)
    return [...serverRoutes(context, apps, all), ...operatorRoutes(apps, all)]
  },
  verbs,
  greeting,
})

/** A first job as a line to paste: with curl and a token that is there already, and as a verb. */
async function greeting(context: AppContext<JobsConfig>): Promise<readonly string[]> {
  const apps = new Apps(context)
  await apps.createIfMissing(DEMO_APP, 'troupe start')
  const { token, time } = await apps.tokenFor(DEMO_APP)
  const fields = { name: DEMO_APP, token, time, jobName: 'hello', content: DEMO_COMMAND }
  const data = Object.entries(fields).map(
    ([name, value]) => `--data-urlencode ${quoteWord(`${name}=${value}`)}`,
  )
  return [
    'Run a first job (this token is good for three minutes; troupe apps token demo makes another):',
    `  curl -s "\${TROUPE_HTTP:-http://127.0.0.1:9800}/server/execute" ${data.join(' ')}`,
    'The same, and what it wrote:',
    `  troupe jobs result $(troupe jobs submit --name hello -- ${quoteWord(DEMO_COMMAND)})`,
  ]
}
