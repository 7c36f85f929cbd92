/**
 * Who a process is, and the only way in which this room sends signals. Reads /proc.
 *
 * Decides: that a process is known by its pid, its start time and the boot, so that a pid that was given
 * out again is never taken for it, and that a group whose leader is gone has to prove that it is ours: a
 * member of the leader's session that carries our variable. A zombie counts as dead. Leaves to others:
 * when to signal. Troupe knows the processes of its own workers in much the same way; its public API does not
 * offer that, and children here have groups that it does not know.
 */
import { readdirSync, readFileSync } from 'node:fs'

export interface ProcessMark {
  pid: number
  /** Clock ticks since boot (field 22 of /proc/<pid>/stat). */
  startTicks: number
  bootId: string
}

/** Every child's environment has it, and so have the processes that the child starts. */
export const PROOF_VARIABLE = 'SEALING_PROCESSOR'

interface ProcessStat {
  state: string
  groupId: number
  sessionId: number
  startTicks: number
}

let bootIdRead: string | undefined

/** The mark of a process that lives; undefined when there is none of that pid. */
export function markOf(pid: number): ProcessMark | undefined {
  const stat = statOf(pid)
  return stat === undefined || isDead(stat)
    ? undefined
    : { pid, startTicks: stat.startTicks, bootId: bootId() }
}

/** Whether exactly this process lives. */
export function isAlive(mark: ProcessMark): boolean {
  if (mark.bootId !== bootId()) return false
  const stat = statOf(mark.pid)
  return stat !== undefined && stat.startTicks === mark.startTicks && !isDead(stat)
}

/** Whether the leader or, when it is gone, anybody in its group lives. */
export function groupLives(leader: ProcessMark, proof: string): boolean {
  return isAlive(leader) || isOurGroup(leader, proof)
}

/** Signals the group that `leader` leads; false when nobody was there who is ours. */
export function signalGroup(leader: ProcessMark, proof: string, signal: NodeJS.Signals): boolean {
  if (leader.pid <= 1) return false
  if (isAlive(leader)) return send(-leader.pid, signal) || send(leader.pid, signal)
  return isOurGroup(leader, proof) && send(-leader.pid, signal)
}

/** Resident memory of a process, or null when it is not there. */
export function residentBytes(pid: number): number | null {
  const kib = /^VmRSS:\s+(\d+) kB$/m.exec(readProc(`/proc/${pid}/status`) ?? '')?.[1]
  return kib === undefined ? null : Number(kib) * 1_024
}

function isOurGroup(leader: ProcessMark, proof: string): boolean {
  if (leader.pid <= 1 || leader.bootId !== bootId()) return false
  // Nearly always nobody is left, and this is much cheaper than reading all of /proc.
  if (!send(-leader.pid, 0)) return false
  const holder = statOf(leader.pid)
  if (holder !== undefined && holder.startTicks !== leader.startTicks) return false
  const variable = `${PROOF_VARIABLE}=${proof}`
  return pids().some((pid) => {
    const stat = statOf(pid)
    if (stat === undefined || isDead(stat)) return false
    if (stat.groupId !== leader.pid || stat.sessionId !== leader.pid) return false
    if (stat.startTicks < leader.startTicks) return false
    return readProc(`/proc/${pid}/environ`)?.split('\0').includes(variable) === true
  })
}

function bootId(): string {
  bootIdRead ??= readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim()
  return bootIdRead
}

function statOf(pid: number): ProcessStat | undefined {
  const line = readProc(`/proc/${pid}/stat`)
  if (line === undefined) return undefined
  // The name in field 2 may hold blanks and parentheses, so fields count from the last one.
  const fields = line.slice(line.lastIndexOf(')') + 2).split(' ')
  const [state = '', , groupId, sessionId] = fields
  return {
    state,
    groupId: Number(groupId),
    sessionId: Number(sessionId),
    startTicks: Number(fields[19]),
  }
}

function isDead({ state }: ProcessStat): boolean {
  return state === 'Z' || state === 'X'
}

function pids(): number[] {
  return readdirSync('/proc')
    .map(Number)
    .filter((pid) => Number.isSafeInteger(pid) && pid > 0)
}

/** False when nobody is there, or nobody whom we may signal. */
function send(target: number, signal: NodeJS.Signals | 0): boolean {
  try {
    process.kill(target, signal)
    return true
  } catch {
    return false
  }
}

/** A process may end between any two steps, and files of others may be closed to us. */
function readProc(path: string): string | undefined {
  try {
    return readFileSync(path, 'utf8')
  } catch {
    return undefined
  }
}
