#!/usr/bin/env node
/**
 * The program `troupe`. Decides: that the apps of `machines/` ship with it, and nothing else.
 */
import { apps } from '../machines/index.ts'
import { runCli } from './cli/index.ts'

// Calls that a stopped node can no longer answer must not keep the process.
process.exit(await runCli({ apps, argv: process.argv.slice(2) }))
