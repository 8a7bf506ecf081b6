#!/usr/bin/env bash
# clang-tidy on the sources of src/, findings as errors. All of them take half an hour on two cores; with
# --changed only those that differ from the commit of which all were clean (scripts/linted-commit): what
# CI looks at. Who has seen all of them clean writes that commit down with --note.
set -euo pipefail
cd "$(dirname "$(readlink -f "$0")")/.."

usage() { echo "usage: scripts/lint.sh [--changed | --note]" >&2; exit 2; }

# Versions differ in what they find, so one decides, as for the format: 14, which Debian 12 has.
if ! clang-tidy --version | grep -q 'version 14\.'; then
  echo "lint: NOT CHECKED: that needs clang-tidy 14 (Debian 12)" >&2
  exit 0
fi

noted=scripts/linted-commit
build=build/release
[ -f "$build/build.ninja" ] || cmake --preset release >/dev/null
cmake --build --preset release --target vnvram_rpc_schema -- --quiet # Its headers are made.

all() { git ls-files 'src/*.cc'; }

# A header is looked at from the source of its name, or from one that includes it.
source_of() {
  case "$1" in
    *.cc) echo "$1" ;;
    *)
      if [ -f "${1%.h}.cc" ]; then echo "${1%.h}.cc"; else
        grep -rlF "\"${1#*/}\"" --include='*.cc' src | sort | head -n 1
      fi ;;
  esac
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
  mapfile -t files
  printf '%s\n' "${files[@]}" |
    xargs -r -P "$(nproc)" -n 1 clang-tidy --quiet -p "$build" 2>/dev/null ||
    { echo "lint: see above; CONTRIBUTING.md says what is asked for" >&2; exit 1; }
  echo "lint: ${#files[@]} sources are clean"
}

case "${1:-}" in
  --changed) changed | look_at ;;
  --note) all | look_at; git rev-parse HEAD >"$noted" ;;
  "") all | look_at ;;
  *) usage ;;
esac
