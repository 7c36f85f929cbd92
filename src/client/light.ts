/** What of this room loads no package: for programs that must start fast. */
export { type Waiting, wait } from './wait.ts'
