export {
  type App,
  type AppContext,
  type AppDaemon,
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
  type RunFiles,
  type Singleton,
  type VerbCall,
  type VerbRequest,
  type VerbResponse,
} from './app.ts'
export { type ClientOptions, createClient } from './connect.ts'
export { createNode, type NodeOptions } from './create.ts'
export type { ReadyReport, RunningApp, TroupeNode } from './node.ts'
export { type LogOptions, openLog, systemClock } from './system.ts'
