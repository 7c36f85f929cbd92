/**
 * `/metrics` in Prometheus' text form: what apps measure, and what the node knows of its shards.
 *
 * Decides: names of the node's own metrics, and that a metric that fails leaves the others alone.
 * Collected when asked; nothing is counted on the hot path for it.
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
    register(registry, log, { name, help, labels: ['shard'] }, async (gauge) => {
      for (const shard of (await node.ready()).shards)
        gauge.set({ shard: String(shard.shard) }, of(shard))
    })
  }
  const actors = {
    name: 'troupe_actors',
    help: 'Actors by machine and condition',
    labels: ['machine', 'condition'],
  }
  // Shards that recover or have stopped cannot count, and that is when the others are wanted.
  register(registry, log, actors, async (gauge) => {
    for (const { machine, condition, count } of await node.client.count())
      gauge.inc({ machine, condition }, count)
  })
  for (const { app, context } of node.apps) {
    for (const metric of app.metrics?.(context) ?? []) registerApp(registry, app.name, metric, log)
  }
  return { contentType: registry.contentType, text: () => registry.metrics() }
}

/** Counters of apps are read, not counted here: both kinds become values that are set. */
function registerApp(registry: Registry, app: string, metric: AppMetric, log: Log): void {
  const { name, collect } = metric
  if (registry.getSingleMetric(name)) {
    throw new TroupeError('invalid-config', `app ${app} measures ${name}, which exists already`)
  }
  try {
    register(registry, log.child({ app }), metric, async (gauge) => {
      for (const { labels, value } of await collect()) gauge.set({ ...labels }, value)
    })
  } catch (cause) {
    const why = (cause as Error).message
    throw new TroupeError('invalid-config', `app ${app} measures ${name}: ${why}`, { cause })
  }
}

function register(
  registry: Registry,
  log: Log,
  { name, help, labels = [] }: Pick<AppMetric, 'name' | 'help' | 'labels'>,
  collect: (gauge: Gauge) => Promise<void>,
): void {
  new Gauge({
    name,
    help,
    labelNames: [...labels],
    registers: [registry],
    async collect() {
      this.reset()
      try {
        await collect(this)
      } catch (thrown) {
        log.error({ err: thrown, metric: name }, 'a metric could not be collected')
      }
    },
  })
}
