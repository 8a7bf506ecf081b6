#!/usr/bin/env bash
# clang-tidy on the sources of src/, findings as errors. All of them take half an hour on two cores; with
# --changed only those that differ from the commit of which all were clean (scripts/linted-commit): what
# CI looks at. Who has seen all of them clean writes that commit down with --note.
set -euo pipefail
shopt -s inherit_errexit
cd "$(dirname "$(readlink -f "$0")")/.."

usage() { echo "usage: scripts/lint.sh [--changed | --note]" >&2; exit 2; }

noted=scripts/linted-commit
build=build/lint # Only configured: file by file, as clang-tidy wants them.

all() { git ls-files 'src/*.cc'; }

# A header is looked at from the source of its name, or from one that includes it, if only by another header.
source_of() {
  case "$1" in
    *.cc) echo "$1"; return ;;
  esac
  if [ -f "${1%.h}.cc" ]; then echo "${1%.h}.cc"; return; fi
  local includers includer
  includers=$(grep -rlF "\"${1#*/}\"" --include='*.cc' src | sort || [ $? = 1 ])
  if [ -n "$includers" ]; then echo "${includers%%$'\n'*}"; return; fi
  for includer in $(grep -rlF "\"${1#*/}\"" --include='*.h' src include | sort || [ $? = 1 ]); do
    includers=$(source_of "$includer")
    if [ -n "$includers" ]; then echo "$includers"; return; fi
  done
}

changed() {
  local commit
  commit=$(cat "$noted")
  if ! git cat-file -e "$commit^{commit}" 2>/dev/null; then
    echo "lint: commit $commit is not in this clone: all sources are looked at" >&2
    all
    return
  fi
  git diff --name-only --diff-filter=d "$commit" -- 'src/*.cc' 'src/*.h' 'include/*.h' |
    while read -r file; do source_of "$file"; done | sort -u
}

look_at() { # sources on standard input
  local files
  mapfile -t files < <(sed '/^$/d')
  printf '%s\n' "${files[@]}" |
    xargs -r -P "$(nproc)" -n 1 clang-tidy --quiet -p "$build" 2>/dev/null ||
    { echo "lint: see above; CONTRIBUTING.md says what is asked for" >&2; exit 1; }
  echo "lint: ${#files[@]} sources are clean"
}

if [ "${1:-}" = --source-of ]; then # For the test of this script.
  shift
  for file in "$@"; do echo "$file: $(source_of "$file")"; done
  exit
fi

# Versions differ in what they find, so one decides, as for the format: 14, which Debian 12 has.
if ! clang-tidy --version | grep -q 'version 14\.'; then
  echo "lint: NOT CHECKED: that needs clang-tidy 14 (Debian 12)" >&2
  exit 0
fi

[ -f "$build/build.ninja" ] || cmake --preset release -B "$build" -DCMAKE_UNITY_BUILD=OFF >/dev/null
cmake --build "$build" --target vnvram_rpc_schema -- --quiet # Its headers are made.

# A list that cannot be made is an error, and not a short one.
case "${1:-}" in
  --changed) list=$(changed); look_at <<<"$list" ;;
  --note) all | look_at; git rev-parse HEAD >"$noted" ;;
  "") all | look_at ;;
  *) usage ;;
esac
