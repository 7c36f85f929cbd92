export * from './address.ts'
export * from './check-command.ts'
export * from './codec.ts'
export * from './command.ts'
export * from './command-id.ts'
export * from './config.ts'
export {
  DEFAULT_CONFIG,
  type HeapName,
  isNodeName,
  LOG_LEVELS,
  type LogLevelName,
} from './config-defaults.ts'
export {
  ANONYMOUS_ROLE_DEFAULT,
  AUTHOR_LENGTH_MAX,
  type HttpConfig,
  type ListenerConfig,
  ROLES,
  type Role,
  type TlsConfig,
  type UserConfig,
} from './config-http.ts'
export { type ConfigLines, configLines } from './config-lines.ts'
export type { NatsConfig } from './config-nats.ts'
export { sectionsOf } from './config-sections.ts'
export * from './errors.ts'
export * from './expectation.ts'
export * from './foreign-values.ts'
export * from './hash.ts'
export * from './json.ts'
export * from './json-schema.ts'
export * from './limits.ts'
export * from './nearest.ts'
export * from './query.ts'
export * from './relay.ts'
export * from './subjects.ts'
export { type TaskOperation, taskOperationOf } from './task-operation.ts'
export * from './view.ts'
