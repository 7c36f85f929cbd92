export {
  Client,
  type ActorHandle,
  type CallOptions,
  type ClientDeps,
  type PauseOptions,
  type ResumeOptions,
  type StartOptions,
} from './client.ts'
export type { WatchedEvent } from './watch.ts'
