/** Replaces what it holds again and again, as threads that are all at work do, and prints what its heap takes in bytes. */
import { getHeapStatistics } from 'node:v8'
import { keepHeapSmall } from '../../../src/adapters/system/index.ts'

const HELD = 40_000
const ROUNDS = 15

if (process.argv.includes('small')) keepHeapSmall()
const held: number[][] = []
for (let n = 0; n < HELD * ROUNDS; n++) held[(n * 7_919) % HELD] = new Array<number>(100).fill(n)
process.stdout.write(`${getHeapStatistics().total_physical_size}\n`)
