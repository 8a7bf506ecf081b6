#!/usr/bin/env bash
# Runs the fuzz targets, one after the other: how many executions, how much code, what was found.
# Ends with 1 if there was a finding; the input is in build/fuzz/findings/TARGET, and the target,
# build/asan/bin/TARGET, run with that file, shows it again. New inputs that reach more code stay in build/fuzz/corpus.
# --fixed is what CI runs: the same inputs each time (one seed, so many of each target, no corpus of
# earlier runs), so that what turns red is the change and not the dice. The dice are ./dev prove's.
set -euo pipefail
cd "$(dirname "$(readlink -f "$0")")/.."

usage() { echo "usage: scripts/fuzz.sh [--seconds N | --fixed] [--json FILE] [TARGET]..." >&2; exit 2; }

all=(damaged_image_fuzzer hostile_image_fuzzer encrypted_image_fuzzer control_channel_fuzzer
  capi_fuzzer nbd_export_fuzzer owner_session_fuzzer)
seconds=60
fixed=
json=
targets=()
while [ $# -gt 0 ]; do
  case "$1" in
    --seconds) seconds=${2:?}; shift 2 ;;
    --fixed) fixed=1; shift ;;
    --json) json=${2:?}; shift 2 ;;
    -*) usage ;;
    *) targets+=("${1%_fuzzer}_fuzzer"); shift ;;
  esac
done
[ ${#targets[@]} -gt 0 ] || targets=("${all[@]}")
for target in "${targets[@]}"; do
  [[ " ${all[*]} " = *" $target "* ]] || { echo "fuzz: no target $target; there are: ${all[*]}" >&2; exit 2; }
done

[ -f build/asan/build.ninja ] || cmake --preset asan >/dev/null
cmake --build --preset asan --target "${targets[@]}" -- --quiet

dictionary() {
  case "$1" in
    *_image_fuzzer) echo tests/fuzz/image.dict ;;
    *) echo "tests/fuzz/${1%_fuzzer}.dict" ;;
  esac
}

# What takes each of them about 20 seconds here.
fixed_runs() {
  case "$1" in
    encrypted_image_fuzzer) echo 60 ;; # Each sealed page that is mended takes a third of a second.
    *_image_fuzzer) echo 300 ;;
    capi_fuzzer) echo 800 ;;
    owner_session_fuzzer) echo 1200 ;;
    *) echo 2500 ;;
  esac
}

findings_of() { find "build/fuzz/findings/$1" -type f | sort; }

# The last number behind a word in libFuzzer's log.
last() { grep -o "$1 *[0-9]*" "$2" | tail -n 1 | grep -o '[0-9]*$' || echo 0; }

results=()
found=0
for target in "${targets[@]}"; do
  corpus=build/fuzz/corpus/$target
  bound=(-max_total_time="$seconds")
  if [ -n "$fixed" ]; then
    corpus=build/fuzz/fixed/$target
    rm -rf "$corpus"
    bound=(-seed=1 -runs="$(fixed_runs "$target")")
  fi
  findings=build/fuzz/findings/$target
  log=build/fuzz/$target.log
  seeds=()
  for folder in "tests/fuzz/corpus/$target" "tests/fuzz/regressions/$target"; do
    [ ! -d "$folder" ] || seeds+=("$folder")
  done
  mkdir -p "$corpus" "$findings"
  before=$(findings_of "$target" | wc -l)
  begin=$SECONDS
  status=0
  # libFuzzer counts its own memory and the sanitizers' in; an input may not take much beside it.
  "build/asan/bin/$target" "${bound[@]}" -max_len=1024 -len_control=0 -timeout=120 -report_slow_units=120 \
    -rss_limit_mb=2048 -malloc_limit_mb=256 -dict="$(dictionary "$target")" \
    -artifact_prefix="$findings/" -print_final_stats=1 "$corpus" "${seeds[@]}" >"$log" 2>&1 || status=$?
  took=$((SECONDS - begin))
  new=$(($(findings_of "$target" | wc -l) - before))
  if [ $status -ne 0 ] && [ $new -eq 0 ]; then
    new=1 # It ended badly and left no input, e.g. with a leak at its end.
  fi
  executions=$(last 'stat::number_of_executed_units:' "$log")
  edges=$(last 'cov:' "$log")
  printf '%-24s %9d executions in %4d s (%d/s), %d edges, findings: %d\n' \
    "$target" "$executions" "$took" $((executions / (took > 0 ? took : 1))) "$edges" "$new"
  if [ $new -gt 0 ]; then
    found=1
    tail -n 60 "$log" >&2
  fi
  results+=("$(printf '{"target": "%s", "executions": %d, "seconds": %d, "edges": %d, "findings": %d}' \
    "$target" "$executions" "$took" "$edges" "$new")")
done

if [ -n "$json" ]; then
  (IFS=,; printf '[%s]\n' "${results[*]}") >"$json"
fi
exit $found
