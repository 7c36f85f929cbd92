/** What of this room loads no package: for programs that must start fast. */
export { oneLine, plainTable } from './text.ts'
