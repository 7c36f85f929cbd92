/** What of this room loads no package: for programs that must start fast. */
export { defineApp } from './app.ts'
export { systemClock } from './clock.ts'
