#!/usr/bin/env bash
# Runs nvcc (all arguments) and keeps what ptxas reports of every kernel beside the object, in OBJECT.ptxas, for
# scripts/kernel_resources.py. All else that the compiler says goes to stderr as it would without this script.
set -uo pipefail

object=
for ((i = 1; i < $#; ++i)); do
  next=$((i + 1))
  if [ "${!i}" = -o ]; then object=${!next}; fi
done
if [ -z "$object" ]; then exec "$@"; fi

"$@" 2>"$object.ptxas"
status=$?
grep -vE '^ptxas info +: ([0-9]+ bytes gmem|Compiling entry|Function properties|Used |Compile time)|bytes stack frame' \
  "$object.ptxas" >&2
exit $status
