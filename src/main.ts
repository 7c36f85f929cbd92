#!/usr/bin/env node
/**
 * The program `troupe`. Decides: that the apps of `machines/` ship with it. Leaves to whoever starts a node
 * (`npm start`, the container) the flag for a larger young generation: with a flag of V8's Node reads its own
 * modules without their cached code, and each command would begin 40 ms later.
 */
import { lazyApps } from '../machines/light.ts'
import { runCli } from './cli/index.ts'

const code = await runCli({ apps: lazyApps, argv: process.argv.slice(2) })
// What was written into a pipe is lost with the process until somebody has read it.
for (const stream of [process.stdout, process.stderr])
  await new Promise<void>((resolve) => stream.write('', () => resolve()))
// Calls that a stopped node can no longer answer must not keep the process.
process.exit(code)
