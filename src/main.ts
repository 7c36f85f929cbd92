#!/usr/bin/env -S node --max-semi-space-size=64
/**
 * The program `troupe`. Decides: that the apps of `machines/` ship with it, and a larger young generation
 * than Node's (16 MB): what is under way then dies before it is copied, a seventh more transitions a second
 * for some 80 MB of memory under load.
 */
import { lazyApps } from '../machines/light.ts'
import { runCli } from './cli/index.ts'

const code = await runCli({ apps: lazyApps, argv: process.argv.slice(2) })
// What was written into a pipe is lost with the process until somebody has read it.
for (const stream of [process.stdout, process.stderr])
  await new Promise<void>((resolve) => stream.write('', () => resolve()))
// Calls that a stopped node can no longer answer must not keep the process.
process.exit(code)
