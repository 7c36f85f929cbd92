/** What of this room loads no package: for programs that must start fast. */
export { byteSize, oneLine, plainTable } from './text.ts'
