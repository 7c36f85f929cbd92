/** The room of the plans: the names of states, and what can be done in each. Pure. */
export * from './plans.ts'
export * from './states.ts'
export * from './table.ts'
