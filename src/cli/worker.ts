/**
 * `troupe worker`: a worker in a process of its own. Decides: its words. Leaves to others: what is done
 * (`worker-run.ts`).
 */
import type { Command } from 'commander'
import { URL_DEFAULT } from './node-api.ts'
import type { Terminal } from './terminal.ts'
import { type LoadApps, type Outcome, withExamples } from './verbs.ts'
import { KEY_VARIABLE, type WorkerFlags } from './worker-flags.ts'

export function addWorker(
  program: Command,
  shipped: LoadApps,
  appFiles: readonly string[],
  terminal: Terminal,
  outcome: Outcome,
): void {
  const command = program
    .command('worker')
    .description('run tasks here for a node that may be elsewhere; until Ctrl-C')
    .option('--server <url>', `a node that it serves (or TROUPE_HTTP; ${URL_DEFAULT})`)
    .option('--group <name>', 'its group of workers', '1')
    .option('--key <key>', `the key of the group; better: --key-file, or ${KEY_VARIABLE}`)
    .option('--key-file <file>', 'a file with the key; read again when the key is refused')
    .option(
      '--nats <urls>',
      'instead of a node and a key: the NATS servers of a cluster, which let it in (or TROUPE_NATS)',
    )
    .option('--cluster <name>', 'of these servers (or TROUPE_CLUSTER; troupe)')
    .option('--user <name>', 'of NATS (or TROUPE_NATS_USER; TROUPE_NATS_PASSWORD_FILE)')
    .option('--creds <file>', 'of a user of NATS, as nsc writes it (or TROUPE_NATS_CREDS)')
    .option('--slots <count>', 'how many tasks it runs at a time', '8')
    .option(
      '--name <name>',
      "of this worker, unique in the cluster (the host's name and the group)",
    )
    .option('--data <dir>', 'where it keeps what it runs', '.worker')
    .option('--advertise <ip:port>', 'where it is, for people who look at the list of workers')
    .option('--load-max <load>', 'takes nothing new above this load average (of one minute)')
    .option('--memory-min <size>', 'takes nothing new with less memory available: 500M, 2G')
    .option(
      '--drain-timeout <duration>',
      'how long a stop waits for what runs; what still runs then goes on by itself',
      '10m',
    )
    .option('--hand-over', 'a stop waits for nothing: the next start goes on with what runs')
    .option('--take-over', 'take over from the worker that uses this directory now')
    .option('--app <file...>', 'modules of your own tasks, JavaScript or TypeScript')
    .option(
      '--config <file>',
      'YAML: the section apps (what its jobs may run), nats (servers and user) and cluster',
    )
    .option('--log-level <level>', 'debug, info, warn, error or silent (info)')
    .option('--json', 'print what it is as JSON')
  withExamples(command, [
    'troupe workers groups add 2 > key',
    'troupe worker --server http://10.0.0.1:9800 --group 2 --key-file key --slots 8',
    'troupe worker --group 2 --key-file key --take-over   # a new version of it',
    'troupe worker --nats nats://10.0.0.1:4222 --cluster main --group 2',
  ])
  command.action(async () => {
    const flags = command.opts<WorkerFlags>()
    const { runWorker } = await import('./worker-run.ts')
    const files = [...appFiles, ...(flags.app ?? [])]
    outcome.code = await runWorker(await shipped(), { ...flags, app: files }, terminal)
  })
}
