export * from './address.ts'
export * from './check-command.ts'
export * from './codec.ts'
export * from './command.ts'
export * from './command-id.ts'
export * from './config.ts'
export {
  AUTHOR_LENGTH_MAX,
  type ListenerConfig,
  ROLES,
  type Role,
  type UserConfig,
} from './config-http.ts'
export { type ConfigLines, configLines } from './config-lines.ts'
export * from './errors.ts'
export * from './foreign-values.ts'
export * from './hash.ts'
export * from './json-schema.ts'
export * from './limits.ts'
export * from './query.ts'
export * from './relay.ts'
export * from './subjects.ts'
export * from './view.ts'
