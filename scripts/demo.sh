#!/usr/bin/env bash
# A virtual machine keeps its TPM across a power cut; `./dev demo` installs and builds before it.
# Ends on "demo: PASS", or says what went wrong and exits with another status than 0.
set -euo pipefail
cd "$(dirname "$(readlink -f "$0")")/.."
export PYTHONDONTWRITEBYTECODE=1
exec /usr/bin/python3 scripts/demo.py
