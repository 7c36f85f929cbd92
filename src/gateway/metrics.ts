/**
 * `/metrics` in Prometheus' text form: what apps measure, and what the node knows of its shards.
 *
 * Decides: names of the node's own metrics, and that a metric of an app that fails leaves the others
 * alone. Collected when asked; nothing is counted on the hot path for it.
 */
import { Gauge, Registry } from 'prom-client'
import type { AppMetric, TroupeNode } from '../node/index.ts'
import type { Log } from '../ports/index.ts'
import { type ShardStatus, TroupeError } from '../protocol/index.ts'

export interface Metrics {
  contentType: string
  text(): Promise<string>
}

const OF_SHARDS: readonly { name: string; help: string; of: (shard: ShardStatus) => number }[] = [
  {
    name: 'troupe_mailbox_commands',
    help: 'Commands that wait for the next batch of their shard',
    of: (s) => s.mailboxCount,
  },
  { name: 'troupe_resident_actors', help: 'Actors in memory', of: (s) => s.residentCount },
  {
    name: 'troupe_resident_bytes',
    help: 'Estimated bytes of the actors in memory',
    of: (s) => s.residentBytes,
  },
  {
    name: 'troupe_commit_age_ms',
    help: 'Age of the oldest batch that waits for its commit',
    of: (s) => s.commitAgeMs,
  },
  { name: 'troupe_slot', help: 'The newest batch', of: (s) => s.slot },
]

/** @throws TroupeError `invalid-config` when two apps give a metric the same name */
export function metricsOf(node: TroupeNode, log: Log): Metrics {
  const registry = new Registry()
  for (const { name, help, of } of OF_SHARDS) {
    register(registry, name, help, ['shard'], async (gauge) => {
      for (const shard of (await node.ready()).shards)
        gauge.set({ shard: String(shard.shard) }, of(shard))
    })
  }
  register(
    registry,
    'troupe_actors',
    'Actors by machine and condition',
    ['machine', 'condition'],
    async (gauge) => {
      for (const { machine, condition, count } of await node.client.count())
        gauge.inc({ machine, condition }, count)
    },
  )
  for (const { app, context } of node.apps) {
    for (const metric of app.metrics?.(context) ?? []) registerApp(registry, app.name, metric, log)
  }
  return { contentType: registry.contentType, text: () => registry.metrics() }
}

/** Counters of apps are read, not counted here: both kinds become values that are set. */
function registerApp(registry: Registry, app: string, metric: AppMetric, log: Log): void {
  const { name, help, labels, collect } = metric
  if (registry.getSingleMetric(name)) {
    throw new TroupeError('invalid-config', `app ${app} measures ${name}, which exists already`)
  }
  register(registry, name, help, labels ?? [], async (gauge) => {
    try {
      for (const { labels: values, value } of await collect()) gauge.set({ ...values }, value)
    } catch (thrown) {
      log.error({ err: thrown, app, metric: name }, 'a metric of an app could not be collected')
    }
  })
}

function register(
  registry: Registry,
  name: string,
  help: string,
  labelNames: readonly string[],
  collect: (gauge: Gauge) => Promise<void>,
): void {
  new Gauge({
    name,
    help,
    labelNames: [...labelNames],
    registers: [registry],
    async collect() {
      this.reset()
      await collect(this)
    },
  })
}
