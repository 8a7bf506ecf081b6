#!/usr/bin/env bash
# Checks the protocol's model (model/*.pml) with spin; `--help` says what can be said.
set -euo pipefail
exec /usr/bin/python3 "$(dirname "$(readlink -f "$0")")/check_model.py" "$@"
