/** What of this room loads no package: for programs that must start fast. */
export * from './address.ts'
export { DEFAULT_CONFIG, isNodeName } from './config-defaults.ts'
export * from './errors.ts'
export * from './json.ts'
export * from './nearest.ts'
