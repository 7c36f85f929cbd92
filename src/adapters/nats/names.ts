/**
 * The names of what a cluster keeps in JetStream. Decides: streams and their subjects; each begins with
 * the name of the cluster, so that clusters can share an account.
 */
import { TroupeError } from '../../protocol/index.ts'

const CLUSTER = /^[A-Za-z0-9_-]{1,64}$/

export interface JetStreamNames {
  /** A bucket of JetStream's key-value store, and where the server tells what has changed in it. */
  registry: { bucket: string; stream: string; keys: string; changes: string }
  journal(shard: number): { stream: string; slots: string; slot(slot: number): string }
  /** Subjects of checkpoints begin with `subjects`, and the shard follows. */
  checkpoints: { stream: string; subjects: string }
  blobs: { stream: string; subjects: string }
  /** Subjects of tasks begin with `tasks`; publishers tell below `priorities` which priorities they use. */
  tasks: { stream: string; tasks: string; priorities: string }
}

/** @throws TroupeError `invalid-config` */
export function jetStreamNames(cluster: string): JetStreamNames {
  if (!CLUSTER.test(cluster)) {
    throw new TroupeError(
      'invalid-config',
      `"${cluster}" cannot name a cluster: letters, digits, "-" and "_", 64 at most`,
    )
  }
  const subjects = `troupe.${cluster}`
  const streams = `TROUPE_${cluster}`
  const bucket = `${streams}_REGISTRY`
  return {
    registry: {
      bucket,
      stream: `KV_${bucket}`,
      keys: `$KV.${bucket}`,
      changes: `${subjects}.registry`,
    },
    journal: (shard) => ({
      stream: `${streams}_JOURNAL_${shard}`,
      slots: `${subjects}.journal.${shard}.*`,
      slot: (slot) => `${subjects}.journal.${shard}.${slot}`,
    }),
    checkpoints: { stream: `${streams}_CHECKPOINTS`, subjects: `${subjects}.checkpoint` },
    blobs: { stream: `${streams}_BLOBS`, subjects: `${subjects}.blob` },
    tasks: {
      stream: `${streams}_TASKS`,
      tasks: `${subjects}.task`,
      priorities: `${subjects}.priority`,
    },
  }
}
