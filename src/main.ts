#!/usr/bin/env node
/**
 * The program `troupe`. Decides: which apps ship with it, and nothing else.
 */
import { runCli } from './cli/index.ts'
import type { App } from './node/index.ts'

const apps: readonly App[] = []

process.exitCode = await runCli({ apps, argv: process.argv.slice(2) })
