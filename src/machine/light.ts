/** What of this room loads no package: for programs that must start fast. */
export { stateText } from './position.ts'
