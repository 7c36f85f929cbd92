export { NatsBlobs, type NatsBlobsOptions } from './blobs.ts'
export { NatsCheckpoints, type NatsCheckpointsOptions } from './checkpoints.ts'
export {
  Connection,
  type ConnectionListener,
  type ConnectorDeps,
  NatsConnector,
  type OpenRequest,
} from './connection.ts'
export { NatsJournal, type NatsJournalOptions } from './journal.ts'
export type { NatsOptions, NatsTlsOptions } from './options.ts'
export {
  type Capabilities,
  judge,
  type ProbeNeeds,
  type ProbeNote,
  type ProbeOptions,
  probe,
  type ServerFacts,
} from './probe.ts'
export { NatsRegistry, type NatsRegistryDeps, type NatsRegistryOptions } from './registry.ts'
export { NatsTaskQueue, type NatsTaskQueueOptions } from './task-queue.ts'
export { NatsTransport, type NatsTransportDeps } from './transport.ts'
