#!/usr/bin/env node
/**
 * The program `troupe`. Decides: that the apps of `machines/` ship with it, and nothing else.
 */
import { apps } from '../machines/index.ts'
import { runCli } from './cli/index.ts'

process.exitCode = await runCli({ apps, argv: process.argv.slice(2) })
