/** The old listings, against the very text that the guide of the old tools shows. */
import { expect, it } from 'vitest'
import type { WorkerRow } from '../../../../machines/sealing/daemon/index.ts'
import { goDuration, goDurationOfMs, goTable } from '../../../../machines/sealing/fleet/go-text.ts'
import {
  oldCallLine,
  oldControlLine,
  oldInfoLines,
  oldThreadLine,
  oldWorkerLines,
} from '../../../../machines/sealing/fleet/old-forms.ts'
import { rustOption, rustSeconds, rustText } from '../../../../machines/sealing/fleet/rust-text.ts'

const PARAMETERS =
  'stacked-proof-of-replication-merkletree-poseidon_hasher-8-0-0-sha256_hasher-032d3138d22506ec0082ed72b2dcba18df18477904e35bafee82b3793b06832f'
const ERROR = `permanent: No cached parameters found for ${PARAMETERS} [failure finding /var/tmp/filecoin-proof-parameters/v28-${PARAMETERS}.params]`
/** Of whoever wrote the guide; as one text it would look like a path of this machine. */
const HOMES = ['', 'home'].join('/')
const STORES = `${HOMES}/dtynn/proj/github.com/ipfs-force-community/venus-cluster/mock-tmp`

function row(index: number, number: number, elapsed: number): WorkerRow {
  return {
    location: `${STORES}/store${index + 1}`,
    sector_id: { Miner: 10_000, Number: number },
    index,
    paused: true,
    paused_elapsed: elapsed,
    state: 'C1Done',
    last_error: ERROR,
    plan: 'sealer',
    job_id: `s-t010000-${number}`,
    thread_state: { state: 'Paused', elapsed },
    job_state: 'C1Done',
    job_stage: 'C2',
  }
}

const EMPTY: WorkerRow = {
  ...row(3, 0, 0),
  location: '/store4',
  sector_id: null,
  paused: false,
  paused_elapsed: null,
  state: 'Empty',
  last_error: null,
}

it('prints the list of a worker as the guide shows it', () => {
  const lines = [row(0, 2, 17), row(1, 3, 17), row(2, 1, 17)].map(oldThreadLine)
  expect(lines.join('\n')).toBe(`\
#0: "${HOMES}/dtynn/proj/github.com/ipfs-force-community/venus-cluster/mock-tmp/store1"; sector_id=Some(s-t010000-2), paused=true, paused_elapsed=Some(17s), state=C1Done, last_err=Some("permanent: No cached parameters found for stacked-proof-of-replication-merkletree-poseidon_hasher-8-0-0-sha256_hasher-032d3138d22506ec0082ed72b2dcba18df18477904e35bafee82b3793b06832f [failure finding /var/tmp/filecoin-proof-parameters/v28-stacked-proof-of-replication-merkletree-poseidon_hasher-8-0-0-sha256_hasher-032d3138d22506ec0082ed72b2dcba18df18477904e35bafee82b3793b06832f.params]")
#1: "${HOMES}/dtynn/proj/github.com/ipfs-force-community/venus-cluster/mock-tmp/store2"; sector_id=Some(s-t010000-3), paused=true, paused_elapsed=Some(17s), state=C1Done, last_err=Some("permanent: No cached parameters found for stacked-proof-of-replication-merkletree-poseidon_hasher-8-0-0-sha256_hasher-032d3138d22506ec0082ed72b2dcba18df18477904e35bafee82b3793b06832f [failure finding /var/tmp/filecoin-proof-parameters/v28-stacked-proof-of-replication-merkletree-poseidon_hasher-8-0-0-sha256_hasher-032d3138d22506ec0082ed72b2dcba18df18477904e35bafee82b3793b06832f.params]")
#2: "${HOMES}/dtynn/proj/github.com/ipfs-force-community/venus-cluster/mock-tmp/store3"; sector_id=Some(s-t010000-1), paused=true, paused_elapsed=Some(17s), state=C1Done, last_err=Some("permanent: No cached parameters found for stacked-proof-of-replication-merkletree-poseidon_hasher-8-0-0-sha256_hasher-032d3138d22506ec0082ed72b2dcba18df18477904e35bafee82b3793b06832f [failure finding /var/tmp/filecoin-proof-parameters/v28-stacked-proof-of-replication-merkletree-poseidon_hasher-8-0-0-sha256_hasher-032d3138d22506ec0082ed72b2dcba18df18477904e35bafee82b3793b06832f.params]")`)
})

it('prints a thread that has nothing, and one that was paused for long', () => {
  expect(oldThreadLine(EMPTY)).toBe(
    '#3: "/store4"; sector_id=None, paused=false, paused_elapsed=None, state=Empty, last_err=None',
  )
  expect(oldThreadLine(row(0, 2, 822))).toContain('paused_elapsed=Some(822s)')
})

it('prints the workers as the guide shows them', () => {
  const summary = { Threads: 3, Empty: 0, Paused: 3, Errors: 3 }
  const worker = { name: '127.0.0.1', dest: '127.0.0.1:17890', summary, sinceMs: 2756.922465 }
  expect(oldWorkerLines([worker], 600_000).join('\n')).toBe(`\
Name       Dest             Threads  Empty  Paused  Errors  LastPing(with ! if expired)
127.0.0.1  127.0.0.1:17890  3        0      3       3       2.756922465s`)
})

it('marks a worker that was silent for long, and prints headings for nobody', () => {
  const summary = { Threads: 1, Empty: 1, Paused: 0, Errors: 0 }
  const worker = { name: 'w', dest: '10.0.0.1:17890', summary, sinceMs: 600_001 }
  expect(oldWorkerLines([worker], 600_000)[1]).toMatch(/ {2}10m0\.001s \(!\)$/)
  expect(oldWorkerLines([{ ...worker, sinceMs: 600_000 }], 600_000)[1]).toMatch(/ {2}10m0s$/)
  expect(oldWorkerLines([], 600_000)).toEqual([
    'Name  Dest  Threads  Empty  Paused  Errors  LastPing(with ! if expired)',
  ])
})

it('prints the threads of a worker as the guide shows them', () => {
  const lines = oldInfoLines([row(0, 2, 822), row(1, 3, 822), row(2, 1, 822)])
  expect(lines.join('\n')).toBe(`\
Index  Loc                                                                             SectorID     Paused  PausedElapsed  State   LastErr
0      ${HOMES}/dtynn/proj/github.com/ipfs-force-community/venus-cluster/mock-tmp/store1  s-t010000-2  true    13m42s         C1Done  permanent: No cached parameters found for stacked-proof-of-replication-merkletree-poseidon_hasher-8-0-0-sha256_hasher-032d3138d22506ec0082ed72b2dcba18df18477904e35bafee82b3793b06832f [failure finding /var/tmp/filecoin-proof-parameters/v28-stacked-proof-of-replication-merkletree-poseidon_hasher-8-0-0-sha256_hasher-032d3138d22506ec0082ed72b2dcba18df18477904e35bafee82b3793b06832f.params]
1      ${HOMES}/dtynn/proj/github.com/ipfs-force-community/venus-cluster/mock-tmp/store2  s-t010000-3  true    13m42s         C1Done  permanent: No cached parameters found for stacked-proof-of-replication-merkletree-poseidon_hasher-8-0-0-sha256_hasher-032d3138d22506ec0082ed72b2dcba18df18477904e35bafee82b3793b06832f [failure finding /var/tmp/filecoin-proof-parameters/v28-stacked-proof-of-replication-merkletree-poseidon_hasher-8-0-0-sha256_hasher-032d3138d22506ec0082ed72b2dcba18df18477904e35bafee82b3793b06832f.params]
2      ${HOMES}/dtynn/proj/github.com/ipfs-force-community/venus-cluster/mock-tmp/store3  s-t010000-1  true    13m42s         C1Done  permanent: No cached parameters found for stacked-proof-of-replication-merkletree-poseidon_hasher-8-0-0-sha256_hasher-032d3138d22506ec0082ed72b2dcba18df18477904e35bafee82b3793b06832f [failure finding /var/tmp/filecoin-proof-parameters/v28-stacked-proof-of-replication-merkletree-poseidon_hasher-8-0-0-sha256_hasher-032d3138d22506ec0082ed72b2dcba18df18477904e35bafee82b3793b06832f.params]`)
})

it('prints NULL for what is missing, and nothing for a worker without threads', () => {
  expect(oldInfoLines([EMPTY])[1]).toMatch(/ {2}NULL {6}false {3}NULL {11}Empty {2}NULL$/)
  expect(oldInfoLines([])).toEqual([])
})

it('says what became of a call in the old words', () => {
  expect(oldControlLine('pause', 0, true)).toBe('#0 worker pause done=true')
  expect(oldCallLine('resume', false)).toBe('resume call done, ok = false')
})

it.each([
  [0n, '0s'],
  [1n, '1ns'],
  [1_500n, '1.5µs'],
  [999_999_999n, '999.999999ms'],
  [1_000_000_000n, '1s'],
  [2_756_922_465n, '2.756922465s'],
  [60_000_000_000n, '1m0s'],
  [822_000_000_000n, '13m42s'],
  [3_600_000_000_000n, '1h0m0s'],
  [-1_500_000_000n, '-1.5s'],
])('writes %d ns as Go does', (nanoseconds, text) => {
  expect(goDuration(nanoseconds)).toBe(text)
})

it('keeps what is below a ms of a span in ms', () => {
  expect(goDurationOfMs(1.5)).toBe('1.5ms')
})

it('aligns a table as the old table writer does', () => {
  // An empty column still is as wide as its padding; the last column has none.
  expect(
    goTable([
      ['', 'b'],
      ['', 'c'],
    ]),
  ).toEqual(['  b', '  c'])
  expect(
    goTable([
      ['é', 'x'],
      ['long', ''],
    ]),
  ).toEqual(['é     x', 'long  '])
  expect(goTable([])).toEqual([])
})

it.each([
  ['plain', '"plain"'],
  ['say "x"', '"say \\"x\\""'],
  ["it's", '"it\'s"'],
  ['a\\b', '"a\\\\b"'],
  ['a\n\r\t\0', '"a\\n\\r\\t\\0"'],
  ['\u001b[1m', '"\\u{1b}[1m"'],
  ['\u00a0', '"\\u{a0}"'],
  ['\u0301a\u0301', '"\\u{301}a\u0301"'],
  ['错误', '"错误"'],
])('escapes %j as Rust does', (text, escaped) => {
  expect(rustText(text)).toBe(escaped)
})

it('writes options and seconds as Rust does', () => {
  expect(rustOption(null)).toBe('None')
  expect(rustOption(rustSeconds(17.9))).toBe('Some(17s)')
})
