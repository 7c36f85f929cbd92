/**
 * The family `jobs`: shell commands as durable jobs, submitted over HTTP or from the command line.
 * README.md says what it offers; here it is put together.
 */
import { type AppContext, defineApp, type GreetingPlace } from '../../src/index.ts'
import { Apps } from './apps.ts'
import { type JobsConfig, jobsConfig, ownTypes } from './config.ts'
import { job } from './job.ts'
import { Jobs } from './jobs.ts'
import { lazyJobs } from './light.ts'
import { app, JOB_IDS, jobIds } from './machines.ts'
import { operatorRoutes } from './operator-routes.ts'
import { typeQueues } from './queues.ts'
import { quoteWord } from './quote.ts'
import { serverRoutes } from './server-routes.ts'
import { Streams } from './streams.ts'
import { TypeTeacher } from './type-teacher.ts'
import { verbs } from './verbs.ts'

const DEMO_APP = 'demo'
const DEMO_COMMAND = 'echo hello from $(uname -n)'

export const jobs = defineApp<JobsConfig>({
  name: 'jobs',
  machines: [job, app, jobIds],
  singletons: [JOB_IDS],
  config: jobsConfig,
  workerQueues: ({ types }, queues) => typeQueues(ownTypes(types), queues),
  routes: (context) => {
    const apps = new Apps(context)
    const all = new Jobs(context, apps)
    const streams = new Streams(context)
    return [...serverRoutes(context, apps, all, streams), ...operatorRoutes(apps, all, streams)]
  },
  verbs,
  verbGroups: lazyJobs.verbGroups,
  daemons: (context) => [new TypeTeacher(context)],
  greeting,
})

/** A first job as a line to paste: with curl, and as a verb. */
async function greeting(
  context: AppContext<JobsConfig>,
  { url, isTerminal }: GreetingPlace,
): Promise<readonly string[]> {
  const apps = new Apps(context)
  await apps.createIfMissing(DEMO_APP, 'troupe start')
  const http = `--http ${quoteWord(url)}`
  const fields = { name: DEMO_APP, jobName: 'hello', content: DEMO_COMMAND }
  const data = Object.entries(fields).map(([name, value]) => quoteWord(`${name}=${value}`))
  // A token that is printed elsewhere would be kept, and whoever reads it could act as the app.
  const token = isTerminal
    ? (await apps.tokenFor(DEMO_APP)).token
    : `"$(troupe apps token ${DEMO_APP} ${http})"`
  const words = [...data, `token=${token}`].map((word) => `--data-urlencode ${word}`)
  return [
    isTerminal
      ? `Run a first job (the token is good for three minutes; troupe apps token ${DEMO_APP} makes another):`
      : `Run a first job (troupe apps token ${DEMO_APP} makes its token):`,
    `  curl -s ${quoteWord(`${url}/server/execute`)} ${words.join(' ')}`,
    'The same, and what it wrote:',
    `  troupe jobs result ${http} $(troupe jobs submit ${http} --name hello -- ${quoteWord(DEMO_COMMAND)})`,
  ]
}
