/** Sectors in words, for people. Decides: how they read. Pure. */
import { oneLine } from '../../../src/verbs.ts'
import { sealProofOf, sectorName, sizeText } from '../venus/index.ts'
import type { SectorRecord } from './sector-record.ts'

const UNITS = [
  ['d', 86_400_000],
  ['h', 3_600_000],
  ['m', 60_000],
] as const

export function ageText(ms: number): string {
  const [unit, unitMs] = UNITS.find(([, length]) => ms >= length) ?? ['s', 1_000]
  return `${Math.max(0, Math.floor(ms / unitMs))}${unit}`
}

/** Rounded: a person compares. */
export function bytesText(bytes: number): string {
  for (const [unit, size] of Object.entries({
    TiB: 2 ** 40,
    GiB: 2 ** 30,
    MiB: 2 ** 20,
    KiB: 2 ** 10,
  })) {
    if (bytes >= size) return `${Math.round((bytes / size) * 10) / 10}${unit}`
  }
  return `${bytes}B`
}

export function describeSector(record: SectorRecord, now: number): string[] {
  const { sector, standing, at, deals, reports, persisted, reservation } = record
  const { sizeBytes } = sealProofOf(sector.ProofType)
  const last = reports.at(-1)
  const count = deals.filter(({ ID }) => ID !== 0).length
  const kept = reservation && `${bytesText(reservation.sizeBytes)} kept in ${reservation.store}`
  const lines: (string | false | null | undefined)[] = [
    `${sectorName(sector.ID)}  ${standing}  ${sizeText(sizeBytes)}  ${ageText(now - at)} old`,
    `  deals      ${count === 0 ? 'none' : count}`,
    last &&
      `  state      ${last.next}, ${ageText(now - last.at)} ago, by ${last.worker} ${last.location}`,
    last?.failure && `  failed     ${last.failure.level}: ${last.failure.desc}`,
    record.preCommit && `  precommit  ticket of height ${record.preCommit.ticket.Epoch}`,
    record.seed && `  seed       of height ${record.seed.Epoch}`,
    record.proof && `  proof      ${record.proof.bytes} bytes, sha256 ${record.proof.sha256}`,
    persisted &&
      `  files      in ${persisted.store}${persisted.checked ? '' : ', not seen by the manager'}`,
    kept && `  room       ${kept}`,
    record.upgrade && '  upgrade    under way',
    record.upgraded && `  upgraded   ${ageText(now - record.upgraded.at)} ago`,
    record.rebuild && `  rebuild    ${record.rebuild.task === null ? 'wanted' : 'under way'}`,
    ...record.unseals.map(
      ({ pieceCid, task }) => `  unseal     ${pieceCid}: ${task === null ? 'wanted' : 'under way'}`,
    ),
    record.stop && `  stop       by ${record.stop.by}: ${record.stop.reason}`,
    record.end && `  ended      ${ageText(now - record.end.at)} ago: ${record.end.reason}`,
  ]
  return lines.filter((line) => typeof line === 'string').map(oneLine)
}
