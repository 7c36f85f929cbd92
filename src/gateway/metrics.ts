/**
 * `/metrics` in Prometheus' text form: what apps measure, and what the node knows of its shards.
 *
 * Decides: names of the node's own metrics, that the only labels are shards, machines and conditions, and
 * that a metric that fails leaves the others alone. Collected when asked: on the hot path three numbers are
 * added per batch (shard/pace.ts).
 */
import { Counter, Gauge, Registry } from 'prom-client'
import type { AppMetric, SeatReport, TroupeNode } from '../node/index.ts'
import type { Log } from '../ports/index.ts'
import { type ShardStatus, TroupeError } from '../protocol/index.ts'

export interface Metrics {
  contentType: string
  text(): Promise<string>
}

interface PerShard<T> {
  name: string
  help: string
  /** Undefined where there is nothing to say of that shard. */
  of: (shard: T) => number | undefined
}

/** Of the shards that this node owns. Those that end in `_total` begin anew with each take of a shard. */
const OF_OWNED: readonly PerShard<ShardStatus>[] = [
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
  {
    name: 'troupe_epoch',
    help: 'The slot of the claim by which the shard is owned',
    of: (s) => s.epoch ?? undefined,
  },
  {
    name: 'troupe_batches_total',
    help: 'Batches that were committed',
    of: (s) => s.commits.count,
  },
  {
    name: 'troupe_batch_commands_total',
    help: 'Commands that these batches answered: by batches, their size',
    of: (s) => s.commits.commands,
  },
  {
    name: 'troupe_commit_ms_total',
    help: 'How long these batches took to be durable, together: by batches, the commit time',
    of: (s) => s.commits.ms,
  },
]

/** Of all shards, as this node of a cluster has them. */
const OF_SEATS: readonly PerShard<SeatReport>[] = [
  {
    name: 'troupe_shard_owned',
    help: '1 on the node that has the shard; less than 1 of all nodes together: nobody serves it',
    of: (s) => Number(s.role === 'owner'),
  },
  {
    name: 'troupe_shard_followed',
    help: '1 on the node that stands by for the shard',
    of: (s) => Number(s.role === 'standby'),
  },
  {
    name: 'troupe_standby_lag_slots',
    help: 'How many slots the standby is behind, once it knows',
    of: (s) => (s.role === 'standby' ? (s.lag ?? undefined) : undefined),
  },
  {
    name: 'troupe_handovers_total',
    help: 'How often this node took the shard from one that served it',
    of: (s) => s.handovers,
  },
  {
    name: 'troupe_takeovers_total',
    help: 'How often this node took the shard when nobody served it',
    of: (s) => s.takeovers,
  },
  {
    name: 'troupe_handover_pause_ms',
    help: 'How long the last handover to this node took, from when the owner before had let go of the shard',
    of: (s) => s.pauseMs ?? undefined,
  },
]

/** @throws TroupeError `invalid-config` when two apps give a metric the same name */
export function metricsOf(node: TroupeNode, log: Log): Metrics {
  const registry = new Registry()
  const scrape = new Scrape()
  const perShard = <T extends { shard: number }>(
    metrics: readonly PerShard<T>[],
    rows: () => Promise<readonly T[]>,
  ) => {
    for (const { name, help, of } of metrics) {
      const collect = async (values: Pick<Counter, 'inc'>) => {
        for (const row of await rows()) {
          const value = of(row)
          if (value !== undefined) values.inc({ shard: String(row.shard) }, value)
        }
      }
      const kind = name.endsWith('_total') ? counter : gauge
      kind(registry, log, { name, help, labels: ['shard'] }, collect)
    }
  }
  perShard(
    OF_OWNED,
    scrape.once(async () => (await node.ready()).shards),
  )
  const { membership } = node
  if (membership) {
    perShard(
      OF_SEATS,
      scrape.once(async () => membership.seats()),
    )
    const leads = { name: 'troupe_leads', help: '1 on the node that leads the cluster' }
    gauge(registry, log, leads, async (values) =>
      values.inc(Number(membership.status().leader?.name === node.name)),
    )
  }
  const actors = {
    name: 'troupe_actors',
    help: 'Actors by machine and condition',
    labels: ['machine', 'condition'],
  }
  // Shards that recover or have stopped cannot count, and that is when the others are wanted.
  gauge(registry, log, actors, async (values) => {
    for (const { machine, condition, count } of await node.client.count())
      values.inc({ machine, condition }, count)
  })
  for (const { app, context } of node.apps) {
    for (const metric of app.metrics?.(context) ?? []) registerApp(registry, app.name, metric, log)
  }
  return { contentType: registry.contentType, text: () => scrape.of(registry) }
}

/** The metrics of one scrape share what is asked of the node. */
class Scrape {
  readonly #forget: (() => void)[] = []

  once<T>(ask: () => Promise<T>): () => Promise<T> {
    let asked: Promise<T> | undefined
    this.#forget.push(() => {
      asked = undefined
    })
    return () => {
      asked ??= ask()
      return asked
    }
  }

  of(registry: Registry): Promise<string> {
    for (const forget of this.#forget) forget()
    return registry.metrics()
  }
}

/** Counters of apps are read, not counted here: both kinds become values that are set. */
function registerApp(registry: Registry, app: string, metric: AppMetric, log: Log): void {
  const { name, collect } = metric
  if (registry.getSingleMetric(name)) {
    throw new TroupeError('invalid-config', `app ${app} measures ${name}, which exists already`)
  }
  try {
    gauge(registry, log.child({ app }), metric, async (values) => {
      for (const { labels, value } of await collect()) values.set({ ...labels }, value)
    })
  } catch (cause) {
    const why = (cause as Error).message
    throw new TroupeError('invalid-config', `app ${app} measures ${name}: ${why}`, { cause })
  }
}

type Described = Pick<AppMetric, 'name' | 'help' | 'labels'>

function gauge(
  registry: Registry,
  log: Log,
  { name, help, labels = [] }: Described,
  collect: (values: Gauge) => Promise<void>,
): void {
  new Gauge({
    ...{ name, help, labelNames: [...labels], registers: [registry] },
    collect() {
      return collectInto(this, name, log, collect)
    },
  })
}

/** What it counts is counted elsewhere, and read here. */
function counter(
  registry: Registry,
  log: Log,
  { name, help, labels = [] }: Described,
  collect: (values: Counter) => Promise<void>,
): void {
  new Counter({
    ...{ name, help, labelNames: [...labels], registers: [registry] },
    collect() {
      return collectInto(this, name, log, collect)
    },
  })
}

async function collectInto<T extends { reset(): void }>(
  metric: T,
  name: string,
  log: Log,
  collect: (values: T) => Promise<void>,
): Promise<void> {
  metric.reset()
  try {
    await collect(metric)
  } catch (thrown) {
    log.error({ err: thrown, metric: name }, 'a metric could not be collected')
  }
}
