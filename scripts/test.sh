#!/usr/bin/env bash
# Everything that must hold: the format of the sources, the unit and crash tests under the address,
# undefined-behaviour and thread sanitizers, then all tests in release. Ends on CTest's own summary.
set -euo pipefail
cd "$(dirname "$(readlink -f "$0")")/.."
jobs=$(nproc)

./dev check-format

for preset in asan tsan; do
  echo "== $preset: unit and crash tests"
  [ -f "build/$preset/build.ninja" ] || cmake --preset "$preset" >/dev/null
  cmake --build --preset "$preset" --target unit_and_crash_tests -- --quiet
  ctest --preset "$preset" -j "$jobs" --quiet --output-log "build/$preset/ctest.log" ||
    { cat "build/$preset/ctest.log"; exit 1; }
  tail -n 4 "build/$preset/ctest.log"
done

echo "== release: all tests"
./dev build
exec ctest --preset release -j "$jobs"
