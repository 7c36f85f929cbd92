/**
 * The public door for the verbs of apps: what they need of `src/index.ts`, and nothing that loads a package.
 * Users have it as `troupe/verbs`. A command that only asks a node starts in a fraction of the time that all
 * of Troupe takes to load.
 */
export { byteSize, oneLine, plainTable } from './cli/light.ts'
export { type Waiting, wait } from './client/light.ts'
export type {
  App,
  AppVerb,
  LazyApp,
  VerbBytes,
  VerbCall,
  VerbRequest,
  VerbResponse,
  VerbTransfer,
  VerbTransferred,
} from './node/index.ts'
export { defineApp } from './node/light.ts'
export type { IndexValue } from './protocol/index.ts'
export { fromJson, TroupeError, toJson } from './protocol/light.ts'
