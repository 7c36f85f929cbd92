/** What of this adapter loads no package: for programs that must start fast. */
export * from './clock.ts'
