/** The verb `troupe sealing daemon`. Decides: what a person types and reads, and what ends it. */
import {
  type App,
  type AppVerb,
  keepHeapSmall,
  openLog,
  TroupeError,
  toJson,
  type VerbCall,
} from '../../../src/index.ts'
import { managerUrl } from '../manager/index.ts'
import { readWorkerConfig, type WorkerConfig } from './config.ts'
import { Daemon } from './daemon.ts'
import { shownConfig } from './shown-config.ts'
import { namesOf } from './worker-pool.ts'
import { tokenOf } from './worker-token.ts'

const LOG_LEVELS = ['debug', 'info', 'warn', 'error', 'silent'] as const
type LogLevel = (typeof LOG_LEVELS)[number]

/** @param apps what a node of the daemon hosts; asked when it starts, since this family is among them */
export function daemonVerbs(apps: () => Promise<readonly App[]>): readonly AppVerb[] {
  return [
    {
      path: ['sealing', 'daemon'],
      summary: 'run the threads of a worker here, with its stores and processors; until Ctrl-C',
      options: [
        { flags: '-c, --config <file>', description: 'its worker.toml' },
        { flags: '--check', description: 'only say what the file means, with secrets as ***' },
        { flags: '--log-level <level>', description: `${LOG_LEVELS.join(', ')} (info)` },
      ],
      examples: [
        'troupe sealing daemon -c worker.toml --check',
        'troupe sealing daemon -c worker.toml',
        'troupe sealing worker -c worker.toml drain --wait   # from elsewhere: finish, and end it',
      ],
      serves: true,
      run: (call) => runDaemon(call, apps),
    },
  ]
}

async function runDaemon(call: VerbCall, apps: () => Promise<readonly App[]>): Promise<number> {
  const config = readWorkerConfig(configFileOf(call))
  if (call.options['check'] === true) return check(call, config)
  const log = openLog({ level: logLevelOf(call) })
  keepHeapSmall()
  const daemon = await Daemon.of(config, { apps: await apps(), log })
  try {
    await daemon.start(call.signal)
    if (!call.signal.aborted) greet(call, config, daemon)
    await Promise.race([daemon.drained, aborted(call.signal)])
    return 0
  } finally {
    await daemon.stop()
  }
}

function check(call: VerbCall, config: WorkerConfig): number {
  // What is only looked at when it starts is looked at now.
  namesOf(config)
  managerUrl(config.manager.addr)
  if (config.rpcServer.tokenFile !== null) tokenOf(config.rpcServer.tokenFile)
  call.print(toJson(shownConfig(config), call.json ? undefined : 2))
  for (const warning of config.warnings) call.note(`warning: ${warning}`)
  return 0
}

function greet(call: VerbCall, config: WorkerConfig, daemon: Daemon): void {
  const rpc = daemon.rpcPlace() ?? null
  const { name } = daemon
  const facts = { name, rpc, threads: config.threads.length, data: config.data }
  if (call.json) return call.print(toJson(facts))
  call.print(
    `sealing worker ${name}: ${facts.threads} threads; rpc ${rpc ?? 'is down, see the log'}`,
  )
}

/** @throws TroupeError `malformed` */
export function configFileOf({ options }: VerbCall): string {
  const given = options['config'] ?? process.env['DAMOCLES_WORKER_CONFIG']
  if (typeof given === 'string' && given !== '') return given
  throw new TroupeError('malformed', 'name the configuration: -c worker.toml')
}

function logLevelOf({ options }: VerbCall): LogLevel {
  const given = options['logLevel'] ?? 'info'
  const level = LOG_LEVELS.find((one) => one === given)
  if (level !== undefined) return level
  throw new TroupeError('malformed', `--log-level is one of: ${LOG_LEVELS.join(', ')}`)
}

function aborted(signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) resolve()
    signal.addEventListener('abort', () => resolve(), { once: true })
  })
}
