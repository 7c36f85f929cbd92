/**
 * `troupe store …`: care for a node's data directory. Decides: the verbs and what they say.
 */
import { relative, resolve } from 'node:path'
import type { Command } from 'commander'
import {
  backupData,
  type CareProgress,
  compactData,
  type RepairedData,
  repairData,
  resetData,
  restoreData,
  type VerifiedData,
  verifyData,
} from '../node/index.ts'
import { verbClock } from './clock.ts'
import { dataOf } from './data-directory.ts'
import { DATA_OPTIONS } from './data-options.ts'
import { EXIT, UsageError } from './exit-codes.ts'
import { ProgressBar } from './progress.ts'
import type { Session } from './session.ts'
import { ago, byteSize, counted, oneLine, table } from './text.ts'
import type { AddVerb } from './verbs.ts'

/** What a problem means for those who use the store, and what can be done. */
const ADVICE: Readonly<Record<VerifiedData['problems'][number]['kind'], string>> = {
  unreadable: 'restore the newest backup that verifies',
  misplaced: 'restore the newest backup that verifies',
  unlisted: 'lists miss it until that changes; troupe actors get finds it',
  unarmed: 'enter its state again: troupe actors resume ADDRESS --retry',
  kept: 'events for it are lost: see troupe actors history ADDRESS, or restore a backup',
  stray: 'nothing depends on it; lists may show what is gone',
  count: 'restore a backup: a count that is too low stops its shard one day',
  channel: 'messages between these shards are lost or stuck: restore a backup',
  journal: 'give this store up: start the node with an empty directory',
}

export function addStoreVerbs(store: Command, add: AddVerb): void {
  addBackup(store, add)
  addRestore(store, add)
  addVerify(store, add)
  addCompact(store, add)
  addReset(store, add)
}

function addBackup(store: Command, add: AddVerb): void {
  add(store, 'backup <dir>', 'copy it to a new directory; the node may run meanwhile', {
    local: true,
    options: [...DATA_OPTIONS, ['--logs', 'what commands wrote, too']],
    examples: [
      'troupe store backup /backup/$(date +%F)',
      'troupe store backup /mnt/troupe --data /var/lib/troupe --logs',
    ],
    run: async (session, [target = ''], flags) => {
      const logs = flags['logs'] === true
      const to = resolve(session.terminal.cwd, target)
      const report = await withBar(session, (progress) =>
        backupData(dataOf(session, flags), to, { progress, logs, signal: session.signal }),
      )
      session.answer(report, ({ files, bytes, directory }) => [
        `${session.paint('green', 'backed up')} to ${near(session, directory)}: ${counted(files, 'file')}, ${byteSize(bytes)}`,
        `  back from there: troupe store restore ${near(session, directory)} --to NEW-DIRECTORY`,
      ])
    },
  })
}

function addRestore(store: Command, add: AddVerb): void {
  add(store, 'restore <dir>', 'make a new data directory of a backup', {
    local: true,
    options: [['--to <data>', 'the data directory to make: new, or empty']],
    examples: ['troupe store restore /backup/2026-05-01 --to /var/lib/troupe'],
    run: async (session, [backup = ''], { to }) => {
      if (typeof to !== 'string') throw new UsageError('--to: name the data directory to make')
      const { cwd } = session.terminal
      const report = await withBar(session, (progress) =>
        restoreData(resolve(cwd, backup), resolve(cwd, to), { progress, signal: session.signal }),
      )
      session.answer(report, ({ data, takenAt, actors }) => [
        `${session.paint('green', 'restored')} to ${near(session, data)}: ${counted(actors, 'actor')} as of ${ago(takenAt, verbClock.now())} (${new Date(takenAt).toISOString()})`,
        '  What was acknowledged later is gone. It is a new incarnation: results of tasks that were',
        '  begun before are refused; those tasks run again, or park their actor where they must not.',
        '  Let no node run on the old data any more.',
        `  go on: troupe start --data ${near(session, data)}`,
      ])
    },
  })
}

function addVerify(store: Command, add: AddVerb): void {
  add(store, 'verify', 'read every row and compare what has to agree; the node may run', {
    local: true,
    options: [
      ...DATA_OPTIONS,
      ['--repair', 'write anew what is made from other rows; the node must be stopped'],
    ],
    examples: [
      'troupe store verify',
      'troupe store verify --data /var/lib/troupe --json',
      'troupe store verify --repair',
    ],
    run: async (session, _words, flags) => {
      const care = flags['repair'] === true ? repairData : verifyData
      const verified: VerifiedData | RepairedData = await withBar(session, (progress) =>
        care(dataOf(session, flags), { progress, signal: session.signal }),
      )
      const isWhole = verified.problems.length === 0
      session.answer({ ok: isWhole, ...verified }, () => verifiedLines(session, verified))
      return isWhole ? EXIT.ok : EXIT.failed
    },
  })
}

function verifiedLines(session: Session, verified: VerifiedData | RepairedData): string[] {
  const { problems, problemsMore, rows, actors, shards, restored, repairable } = verified
  const count = problems.length + problemsMore
  const sum = [counted(rows, 'row'), counted(actors, 'actor'), counted(shards, 'shard')].join(', ')
  const origin = restored
    ? [`  restored from a backup of ${new Date(restored.takenAt).toISOString()}`]
    : []
  const mended = 'repaired' in verified ? mendedLines(session, verified) : []
  if (count === 0) return [...mended, `${session.paint('green', 'whole')}: ${sum}`, ...origin]
  const cells = problems.map(({ shard, subject, what }) => [String(shard), subject, what])
  const kinds = [...new Set(problems.map(({ kind }) => kind))]
  const first = (kind: string) => problems.find((problem) => problem.kind === kind)?.subject ?? ''
  return [
    ...mended,
    ...table(['SHARD', 'WHERE', 'PROBLEM'], cells, session),
    ...(problemsMore > 0 ? [`and ${problemsMore} more`] : []),
    '',
    `${session.paint('red', counted(count, 'problem'))}: ${sum}`,
    ...origin,
    ...kinds.map((kind) => `  ${kind}: ${ADVICE[kind].replace('ADDRESS', oneLine(first(kind)))}`),
    ...(repairable > 0
      ? [`${repairable} of them can be mended: stop the node, then troupe store verify --repair`]
      : []),
  ]
}

function mendedLines({ paint }: Session, { repaired }: RepairedData): string[] {
  if (repaired > 0) return [`${paint('green', 'mended')}: ${counted(repaired, 'row')} written anew`]
  return ['nothing was changed: nothing here can be mended from other rows']
}

function addCompact(store: Command, add: AddVerb): void {
  add(store, 'compact', 'give free space back to the disk; the node must be stopped', {
    local: true,
    options: DATA_OPTIONS,
    examples: ['troupe store compact --data /var/lib/troupe'],
    run: async (session, _words, flags) => {
      const compacted = await withBar(session, (progress) =>
        compactData(dataOf(session, flags), { progress }),
      )
      session.answer(compacted, ({ beforeBytes, afterBytes }) => [
        `${session.paint('green', 'compacted')}: ${byteSize(beforeBytes)} → ${byteSize(afterBytes)}`,
      ])
    },
  })
}

function addReset(store: Command, add: AddVerb): void {
  add(store, 'reset', 'remove all actors, files of apps and logs; the node must be stopped', {
    local: true,
    options: [...DATA_OPTIONS, ['--yes', 'do not ask']],
    examples: ['troupe store reset', 'troupe store reset --data /tmp/demo --yes'],
    run: async (session, _words, flags) => {
      const data = dataOf(session, flags)
      if (flags['yes'] !== true && !(await agrees(session, data))) {
        session.answer({ directory: data, reset: false }, () => ['nothing was changed'])
        return EXIT.failed
      }
      await resetData(data)
      session.answer({ directory: data, reset: true }, () => [
        `${session.paint('green', 'reset')}: ${near(session, data)} is empty`,
      ])
      return EXIT.ok
    },
  })
}

/** @throws UsageError where nobody can be asked */
async function agrees({ terminal, signal }: Session, data: string): Promise<boolean> {
  if (!terminal.question) throw new UsageError('nobody can be asked here: say --yes')
  const text = `Remove everything that ${data} holds? There is no way back. Type yes: `
  return (await terminal.question(text, signal)).trim() === 'yes'
}

async function withBar<T>(
  session: Session,
  run: (progress: CareProgress) => Promise<T>,
): Promise<T> {
  const bar = new ProgressBar(session.terminal, !session.json)
  try {
    return await run(bar.update)
  } finally {
    bar.end()
  }
}

/** As short as it can be typed here. */
function near({ terminal: { cwd } }: Session, path: string): string {
  const below = relative(cwd, path)
  return below === '' || below.startsWith('..') ? path : below
}
