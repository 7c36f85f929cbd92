export type { NatsOptions, NatsTlsOptions } from '../adapters/nats/index.ts'
export type {
  Handover,
  LeaderReport,
  Order as ClusterOrder,
  OwnerChange,
  Unplaced,
} from '../cluster/index.ts'
export {
  type App,
  type AppContext,
  type AppDaemon,
  type AppLeader,
  type AppLeaderReports,
  type AppMethod,
  type AppMetric,
  type AppOptions,
  type AppRequest,
  type AppResponse,
  type AppRoute,
  type AppSubject,
  type AppVerb,
  defineApp,
  type GreetingPlace,
  type HttpMethod,
  type LazyApp,
  type MethodCall,
  type RouteSchemas,
  type RunFiles,
  type ServedWorkers,
  type Singleton,
  type VerbBytes,
  type VerbCall,
  type VerbRequest,
  type VerbResponse,
  type VerbTransfer,
  type VerbTransferred,
} from './app.ts'
export {
  type BackupOptions,
  type BackupReport,
  backupData,
  type RestoreReport,
  restoreData,
} from './backups.ts'
export { systemClock } from './clock.ts'
export {
  type ClientOptions,
  createClient,
  openNatsLine,
  type RemoteClient,
  type RemoteClientOptions,
} from './connect.ts'
export { createNode } from './create.ts'
export type { NatsLine, NatsLineOptions } from './nats-line.ts'
export type {
  ClusterReport,
  Membership,
  NodeReport,
  ReadyReport,
  RunningApp,
  SeatReport,
  ShardReport,
  TroupeNode,
} from './node.ts'
export type { ClusterAccess, NodeOptions } from './options.ts'
export { checkRollOut, RollOutCheck, type RollOutReport, type RollOutRow } from './roll-out.ts'
export {
  type CareOptions,
  type CareProgress,
  compactData,
  type RepairedData,
  repairData,
  resetData,
  type VerifiedData,
  verifyData,
} from './store-care.ts'
export { keepHeapSmall, type LogOptions, openLog } from './system.ts'
export { troupeVersion } from './version.ts'
export { createWorker, type WorkerOptions, type WorkerProcess } from './worker-process.ts'
