export {
  type ActorHandle,
  type CallOptions,
  Client,
  type ClientDeps,
  type PauseOptions,
  type ResumeOptions,
} from './client.ts'
export type { FollowedEvent, FollowOptions, SeenTurn } from './follow.ts'
export type { AuditOptions, ReadOptions } from './lists.ts'
export type { Plain } from './near-requests.ts'
export type { Told } from './router.ts'
export { type Waiting, wait } from './wait.ts'
export type { WatchedEvent, WatchTarget } from './watch.ts'
