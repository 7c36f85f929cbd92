/**
 * The shim: the shell script that stands between a worker and a command, so that the command outlives
 * the worker, runs once and leaves its exit status behind.
 *
 * Decides: the order of what is written into a run's directory, how the command gets its own session,
 * how what it leaves behind in its process group is ended, and the watchdog. Leaves to others: what to
 * run (`command.ts`), reading the records (`records.ts`), and the worker's side (`runner.ts`).
 *
 * The script is a constant; whatever a user gives reaches it as an argument and is only ever expanded
 * inside double quotes. It uses what POSIX names (dash, busybox and bash run it). Names begin with
 * `__t_` because the shim runs with the command's environment: assigning to a variable that was
 * imported would change what the command sees.
 *
 * Two choices keep it cheap, since a fork with exec costs about as much as the rest together:
 * - Claims and records use the shell's own redirections instead of `mkdir` and `mv`. `set -C` opens
 *   with O_EXCL, which is as atomic as mkdir; a record is one `write` that ends in the word `end`, and
 *   readers treat one without it as absent, which is what a rename would give.
 * - The command runs in the foreground, not with `&`, which would leave it ignoring SIGINT and SIGQUIT
 *   for good. It reads its own identity from /proc/self before `exec`, so nobody has to look it up.
 */

/** Arguments that precede the command; the script documents them. */
export interface ShimArguments {
  dir: string
  /** Unix ms at which the worker asked for the run; only copied into the records. */
  startedAt: number
  bootId: string
  /** Ends what the leader leaves in its group, after this grace; undefined leaves it alone. */
  groupGraceMs: number | undefined
  watchdog: { intervalMs: number; heartbeatFile: string } | undefined
  /** Absolute, because the command's PATH is not ours to trust. */
  setsidPath: string
}

/** The shim exits so when another shim has claimed the directory. */
export const SHIM_EXIT_CLAIMED = 75
/** The shim exits so when it could not write its claim; nothing ran and nothing was left behind. */
export const SHIM_EXIT_UNWRITABLE = 76

/** The watchdog gives up after this many intervals without a heartbeat: one late beat is forgiven. */
export const WATCHDOG_INTERVALS = 4

/** The `$0` of every shim: what `ps` shows, and how a shim without a record is found. */
export const SHIM_NAME = 'troupe-shim'

/** How long one poll of the group's end lasts; the script counts in these. */
const GROUP_POLL_MS = 100

export const SHIM_SCRIPT = `
# $1 directory  $2 unix ms of the start  $3 boot id  $4 polls before SIGKILL of leftovers, or empty
# $5 seconds between two looks of the watchdog, or empty  $6 heartbeat file  $7 setsid  $8... command
trap '' HUP INT QUIT TERM
# Node opens its own descriptors close-on-exec; these are such as it inherited itself.
exec 3>&- 4>&- 5>&- 6>&- 7>&- 8>&- 9>&-

__t_fields() { __t_start=\${20}; }
# The identity of the process that calls it; the name in field 2 may hold spaces and parentheses.
__t_self() {
  read -r __t_line </proc/self/stat
  __t_fields \${__t_line##*) }
  __t_me="\${__t_line%% *} $__t_start"
}
# Succeeds while the process on record in file $1 lives; sets __t_leader to its pid.
__t_alive() {
  { read -r __t_leader __t_born __t_boot __t_rest <"$1"; } 2>/dev/null || return 1
  case $__t_rest in *end) ;; *) return 1 ;; esac
  [ "$__t_leader" -gt 1 ] || return 1
  { read -r __t_line <"/proc/$__t_leader/stat"; } 2>/dev/null || return 1
  __t_fields \${__t_line##*) }
  [ "$__t_start" = "$__t_born" ]
}
__t_signal() { kill -s "$1" -- "-$2" 2>/dev/null; }
__t_sleep() { command -p sleep "$1" || command -p sleep 1; }
# Whether anybody lives in group $1. Zombies do not count: pid 1 of a container may never reap them.
__t_lives() {
  __t_signal 0 "$1" || return 1
  for __t_file in /proc/[0-9]*/stat; do
    { read -r __t_line <"$__t_file"; } 2>/dev/null || continue
    set -- "$1" \${__t_line##*) }
    if [ "$4" = "$1" ]; then
      case $2 in Z | X) ;; *) return 0 ;; esac
    fi
  done
  return 1
}
# Waits until group $1 is empty, for $2 polls; short ones first, because most groups end at once.
__t_gone() {
  for __t_wait in 0.01 0.02 0.05; do
    __t_lives "$1" || return 0
    __t_sleep "$__t_wait"
  done
  __t_left=$2
  while [ "$__t_left" -gt 0 ]; do
    __t_lives "$1" || return 0
    __t_sleep 0.1
    __t_left=$((__t_left - 1))
  done
  return 1
}

__t_self
set -C
if ! command exec 3>"$1/claim"; then
  if [ -e "$1/claim" ]; then exit ${SHIM_EXIT_CLAIMED}; fi
  exit ${SHIM_EXIT_UNWRITABLE}
fi
if ! echo "$__t_me $3 $2 end" >&3; then
  command -p rm -f "$1/claim"
  exit ${SHIM_EXIT_UNWRITABLE}
fi
exec 3>&-
set +C
# The shell says here which signal ended the command; its status alone cannot tell 137 from SIGKILL.
command exec 2>"$1/shim"

__t_watchdog=
if [ -n "$5" ]; then
  (
    __t_nap=
    trap 'if [ -n "$__t_nap" ]; then kill "$__t_nap"; fi; exit 0' TERM
    __t_missed=0
    echo >"$1/watch"
    while :; do
      command -p sleep "$5" &
      __t_nap=$!
      wait "$__t_nap"
      __t_nap=
      if [ -e "$1/exit" ]; then exit 0; fi
      # Comparing two times of the file system needs no clock and no process, and survives clock jumps.
      if [ -e "$6" ] && ! [ "$1/watch" -nt "$6" ]; then
        __t_missed=0
      else
        __t_missed=$((__t_missed + 1))
      fi
      echo >"$1/watch"
      if ! __t_alive "$1/pid"; then
        # It has ended, or its shim died before it began.
        if [ -s "$1/pid" ] || ! __t_alive "$1/claim"; then exit 0; fi
      elif [ "$__t_missed" -ge ${WATCHDOG_INTERVALS} ]; then
        echo >"$1/orphaned"
        __t_signal TERM "$__t_leader" || kill -s TERM "$__t_leader"
        __t_gone "$__t_leader" "\${4:-50}"
        if __t_alive "$1/pid"; then __t_signal KILL "$__t_leader"; fi
        exit 0
      fi
    done
  ) 2>/dev/null &
  __t_watchdog=$!
fi

(
  trap - HUP INT QUIT TERM
  __t_self
  echo "$__t_me $3 end" >"$1/pid" || exit 126
  __t_dir=$1
  __t_setsid=$7
  shift 7
  exec "$__t_setsid" -- "$@" </dev/null >>"$__t_dir/stdout" 2>>"$__t_dir/stderr"
)
__t_code=$?
__t_number=0
if [ "$__t_code" -gt 128 ]; then
  # Shells stay silent about SIGINT and SIGPIPE, and bash about all, so there the status has to do.
  if [ -s "$1/shim" ] || [ "$__t_code" -eq 130 ] || [ "$__t_code" -eq 141 ] || [ -n "$BASH_VERSION" ]; then
    __t_number=$((__t_code - 128))
  fi
fi
if [ -n "$__t_watchdog" ]; then kill "$__t_watchdog" 2>/dev/null; fi

# A pid is not given out again while a group of that number has members, so what answers is ours.
if [ -n "$4" ] && read -r __t_leader __t_rest <"$1/pid" && [ "$__t_leader" -gt 1 ]; then
  if __t_signal TERM "$__t_leader"; then
    if ! __t_gone "$__t_leader" "$4"; then
      __t_signal KILL "$__t_leader"
      __t_gone "$__t_leader" 10
    fi
  fi
fi

__t_reason=exited
if [ -e "$1/orphaned" ]; then
  __t_reason=orphaned
elif [ -e "$1/kill" ]; then
  __t_reason=killed
fi
# On a full disk the status waits rather than being lost; of a removed directory nothing is asked.
until echo "$__t_code $__t_number $__t_reason $2 end" >"$1/exit"; do
  [ -d "$1" ] || exit 0
  __t_sleep 1
done
# Wakes whoever watches this file, which is quiet while the streams are not.
echo ended >>"$1/shim"
`

/** The arguments for `/bin/sh` that run `command` under the shim. */
export function shimArguments(given: ShimArguments, command: readonly string[]): string[] {
  return ['-c', SHIM_SCRIPT, ...shimWords(given, command)]
}

/** Those of them that follow the script. */
export function shimWords(given: ShimArguments, command: readonly string[]): string[] {
  const { groupGraceMs, watchdog } = given
  return [
    SHIM_NAME,
    given.dir,
    String(given.startedAt),
    given.bootId,
    groupGraceMs === undefined ? '' : String(Math.ceil(groupGraceMs / GROUP_POLL_MS)),
    watchdog === undefined ? '' : (watchdog.intervalMs / 1_000).toFixed(3),
    watchdog === undefined ? '' : watchdog.heartbeatFile,
    given.setsidPath,
    ...command,
  ]
}
