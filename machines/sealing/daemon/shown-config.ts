/** A configuration for people to look at. Decides: what of it is a secret and is shown as `***`. Pure. */
import type { NatsOptions } from '../../../src/index.ts'
import type { WorkerConfig } from './config.ts'

const HIDDEN = '***'
/** Children are given secrets by such names. */
const SECRET_NAME = /TOKEN|SECRET|PASSW|CREDENTIAL|KEY|AUTH/i

export function shownConfig(config: WorkerConfig): unknown {
  const { manager, processors, cluster, shared: _shared, threads, ...rest } = config
  return {
    ...rest,
    threads: threads.map(({ own: _own, ...shown }) => shown),
    manager: {
      addr: withoutPassword(manager.addr),
      headers: mapped(manager.headers, () => HIDDEN),
      pieceToken: manager.pieceToken === null ? null : HIDDEN,
    },
    processors: {
      ...processors,
      children: mapped(processors.children, (list) =>
        list.map((child) => ({
          ...child,
          envs: mapped(child.envs, (value, name) => (SECRET_NAME.test(name) ? HIDDEN : value)),
        })),
      ),
    },
    cluster:
      cluster === null
        ? null
        : { ...cluster, nats: shownNats(cluster.nats), workerNats: shownNats(cluster.workerNats) },
  }
}

function shownNats(nats: NatsOptions): NatsOptions {
  return { ...nats, servers: nats.servers.map(withoutPassword) }
}

/** Of a URL that has one. */
function withoutPassword(url: string): string {
  return url.replace(/^([a-z][a-z0-9+.-]*:\/\/)[^/@]*@/i, `$1${HIDDEN}@`)
}

function mapped<TIn, TOut>(
  record: Readonly<Record<string, TIn>>,
  change: (value: TIn, key: string) => TOut,
): Record<string, TOut> {
  return Object.fromEntries(Object.entries(record).map(([key, value]) => [key, change(value, key)]))
}
