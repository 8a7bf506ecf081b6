#!/usr/bin/env bash
# The long run: ./dev soak [SECONDS] [option...]; without a length ten minutes. Options: --help.
set -euo pipefail
cd "$(dirname "$(readlink -f "$0")")/.."
seconds=()
if [[ ${1:-} =~ ^[0-9]+$ ]]; then
  seconds=(--seconds "$1")
  shift
fi
mkdir -p build/soak
exec build/release/bin/vnvram-soak --dir build/soak --check-command build/release/bin/vnvram "${seconds[@]}" "$@"
