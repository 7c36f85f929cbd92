/** The room of the worker: its configuration, its interface, and the daemon that runs the steps. */
export {
  RPC_HOST,
  RPC_PORT,
  readWorkerConfig,
  type ThreadConfig,
  type WorkerConfig,
} from './config.ts'
export { Daemon, type DaemonDeps } from './daemon.ts'
export { parseDuration } from './durations.ts'
export { callable, type Place, parsePlace, placeText } from './places.ts'
export { UnknownCall, WorkerClient, type WorkerClientOptions } from './rpc-client.ts'
export { type LiveChapter, type SectorStory, storyOf } from './sector-story.ts'
export { answerOf } from './thread-desk.ts'
export type { ShownThread } from './thread-rows.ts'
export {
  type AnyWorkerRow,
  type ControlAnswer,
  type ControlRequest,
  controlAnswer,
  type HeadWorkerRow,
  type OldWorkerRow,
  WORKER_CALLS,
  type WorkerRow,
} from './worker-api.ts'
export { poolOf } from './worker-pool.ts'
