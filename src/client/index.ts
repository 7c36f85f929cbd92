export {
  type ActorHandle,
  type CallOptions,
  Client,
  type ClientDeps,
  type PauseOptions,
  type ResumeOptions,
  type StartOptions,
} from './client.ts'
export type { WatchedEvent } from './watch.ts'
