/** Inspections: pass after pass, all shards of all volumes are looked at where they lie. */
import type { AppOptions, MachineDefinition } from '../../../../src/index.ts'
import { inspectSingleton, volumeInspect } from './volume-inspect.ts'
import { volumeInspection } from './volume-inspection.ts'

export { openInspect } from './inspect-list.ts'
export { type InspectRecord, type Pass, WORKER_CHARS_MAX } from './inspect-record.ts'
export { type InspectView, inspectView } from './inspect-view.ts'
export { Inspections, type InspectionsDeps, type ReportAnswer } from './inspections.ts'
export { type InspectCalls, Inspector, type InspectorOptions } from './inspector.ts'
export { type InspectConfig, inspectConfig } from './settings.ts'
export type { InspectShards } from './unit-shards.ts'
export { INSPECT_ADDRESS } from './volume-inspect.ts'
export { type InspectionRecord, inspectionAddress } from './volume-inspection.ts'
export {
  type InspectReport,
  type InspectTask,
  inspectAnswer,
  inspectReport,
  inspectTask,
  type SentReport,
} from './wire.ts'

export const inspectMachines: readonly MachineDefinition[] = [volumeInspect, volumeInspection]
export const inspectSingletons: NonNullable<AppOptions<unknown>['singletons']> = [inspectSingleton]
