#!/usr/bin/env bash
# Everything that must hold: the format of the sources, the unit and crash tests under the address,
# undefined-behaviour and thread sanitizers, the fixed inputs of each fuzz target, then all tests in release.
# clang-tidy on what has changed comes before them. Ends on CTest's own summary.
set -euo pipefail
cd "$(dirname "$(readlink -f "$0")")/.."
jobs=$(nproc)

./dev check-format

sanitized() { # PRESET TARGET...
  local preset=$1
  echo "== $preset: unit and crash tests"
  [ -f "build/$preset/build.ninja" ] || cmake --preset "$preset" >/dev/null
  cmake --build --preset "$preset" --target "${@:2}" -- --quiet
  ctest --preset "$preset" -j "$jobs" --quiet --output-log "build/$preset/ctest.log" ||
    { cat "build/$preset/ctest.log"; exit 1; }
  grep -E 'tests passed|^Total Test time' "build/$preset/ctest.log"
}

sanitized asan unit_and_crash_tests fuzzers

echo "== fuzz: the same inputs each time, of each target"
printf '%s_fuzzer\n' damaged_image hostile_image encrypted_image control_channel capi nbd_export owner_session |
  xargs -P "$jobs" -n 1 scripts/fuzz.sh --fixed

sanitized tsan unit_and_crash_tests

echo "== release: all tests"
./dev build
scripts/lint.sh --changed
# What is long and seldom red is ./dev prove's, or `ctest --preset release -L seldom`.
exec ctest --preset release -j "$jobs" -LE seldom
