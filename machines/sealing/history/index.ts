/** The room of the histories: what became of each sector, and what the stages took. */
export * from './chapter.ts'
export * from './export-rows.ts'
export * from './histories.ts'
export * from './record-task.ts'
export * from './sealing-history.ts'
export * from './stage-metrics.ts'
export * from './stage-totals.ts'
