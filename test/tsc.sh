#!/bin/sh
# The tsc that vitest starts for the type tests. Decides: a tsc that dies by a signal (memory is short) has
# failed. Vitest looks at exit codes only, and such a process has none: its types would count as passed. By its
# path, as in package.json: the compiler that the guards of test/repo parse with brings a `tsc` of its own.
node "$(dirname "$0")/../node_modules/typescript/bin/tsc" "$@"
code=$?
# 1 and 2 are errors of types, which tsc has printed.
[ "$code" -le 2 ] || echo "tsc ended with code $code before it had judged the types" >&2
exit "$code"
