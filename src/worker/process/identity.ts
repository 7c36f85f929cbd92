/**
 * Who a process is, and whether it still lives.
 *
 * Decides: that a process is known by its pid, its start time and the boot it belongs to, so that a
 * recycled pid is never taken for it; that a group whose leader is gone has to prove whose it is; and the
 * only way in which signals are sent. A zombie counts as dead. Leaves to others: when to signal
 * (`running.ts`, apps with children of their own).
 *
 * Reads of /proc and the signal that follows happen in one synchronous step: nothing of ours can come
 * between them, and the kernel hands a pid out again only after all others had their turn.
 */
import { readdirSync, readFileSync } from 'node:fs'

export interface ProcessIdentity {
  pid: number
  /** Clock ticks since boot (field 22 of /proc/<pid>/stat). */
  startTicks: number
  bootId: string
}

export interface ProcessStat {
  state: string
  groupId: number
  sessionId: number
  startTicks: number
}

/** Every command's environment holds its run directory under this name; it proves whose a process is. */
export const RUN_VARIABLE = 'TROUPE_RUN'

/** What the environment of a command of this run holds. */
export function runProof(dir: string): string {
  return `${RUN_VARIABLE}=${dir}`
}

let bootIdRead: string | undefined

/** The id of the running kernel's boot; it cannot change while we live. */
export function bootId(): string {
  bootIdRead ??= readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim()
  return bootIdRead
}

/** What /proc says of a pid, or undefined when there is none. */
export function processStat(pid: number): ProcessStat | undefined {
  const line = readProc(`/proc/${pid}/stat`)
  if (line === undefined) return undefined
  // The name in field 2 may itself hold spaces and parentheses, so fields count from the last one.
  const fields = line.slice(line.lastIndexOf(')') + 2).split(' ')
  const [state, , groupId, sessionId] = fields
  if (state === undefined) return undefined
  return {
    state,
    groupId: Number(groupId),
    sessionId: Number(sessionId),
    startTicks: Number(fields[19]),
  }
}

/** Of the process of that pid, if it lives. */
export function processIdentityOf(pid: number): ProcessIdentity | undefined {
  const stat = processStat(pid)
  if (stat === undefined || isDead(stat)) return undefined
  return { pid, startTicks: stat.startTicks, bootId: bootId() }
}

/** Whether exactly this process lives, now, on this boot. */
export function processLives(identity: ProcessIdentity): boolean {
  if (identity.bootId !== bootId()) return false
  const stat = processStat(identity.pid)
  return stat !== undefined && stat.startTicks === identity.startTicks && !isDead(stat)
}

/**
 * Signals the process group that `leader` leads, and says whether anybody was there to be signalled.
 * When the leader is gone, a member has to prove that the group is still ours: see `groupIsOurs`. A group
 * that cannot be proved ours is never signalled.
 * @param proof `NAME=value`, in the environment of every process of that group and of no other
 */
export function signalGroup(
  leader: ProcessIdentity,
  proof: string,
  signal: NodeJS.Signals,
): boolean {
  if (leader.pid <= 1) return false
  if (processLives(leader)) {
    // Before `setsid` has run there is no group of that number yet; the leader is alone then.
    return send(-leader.pid, signal) || send(leader.pid, signal)
  }
  return groupIsOurs(leader, proof) && send(-leader.pid, signal)
}

/** Whether the leader or, when it is gone, anybody in its group still lives. @param proof as above */
export function groupLives(leader: ProcessIdentity, proof: string): boolean {
  return processLives(leader) || groupIsOurs(leader, proof)
}

/** Whether a shim for `dir` lives, whatever its pid; for a claim that its shim has not filled yet. */
export function shimLives(dir: string, shimName: string): boolean {
  return pids().some((pid) => {
    const words = readProc(`/proc/${pid}/cmdline`)?.split('\0')
    return words?.[3] === shimName && words[4] === dir
  })
}

/**
 * A group outlives its leader. Its number is safe while it has members, but a later process could have
 * taken the number after the last one went. A member of the leader's own session that carries our
 * variable rules that out: nobody can enter a session, so one member proves the whole group.
 */
function groupIsOurs(leader: ProcessIdentity, proof: string): boolean {
  if (leader.pid <= 1 || leader.bootId !== bootId()) return false
  // Nearly always nobody is left, and this is much cheaper than reading all of /proc.
  if (!send(-leader.pid, 0)) return false
  // A living process under the leader's pid that is not the leader: the number was given out again.
  const holder = processStat(leader.pid)
  if (holder !== undefined && holder.startTicks !== leader.startTicks) return false
  return pids().some((pid) => {
    const stat = processStat(pid)
    if (stat === undefined || isDead(stat)) return false
    if (stat.groupId !== leader.pid || stat.sessionId !== leader.pid) return false
    if (stat.startTicks < leader.startTicks) return false
    return readProc(`/proc/${pid}/environ`)?.split('\0').includes(proof) === true
  })
}

function isDead(stat: ProcessStat): boolean {
  return stat.state === 'Z' || stat.state === 'X'
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

/** A process may end between any two steps, and others' files may be closed to us. */
function readProc(path: string): string | undefined {
  try {
    return readFileSync(path, 'utf8')
  } catch {
    return undefined
  }
}
