#!/usr/bin/env bash
# The demos; `./dev demo` and `./dev demo-NAME` install and build before it.
# Ends on "NAME: PASS", or says what went wrong and exits with another status than 0.
set -euo pipefail
cd "$(dirname "$(readlink -f "$0")")/.."
export PYTHONDONTWRITEBYTECODE=1
exec /usr/bin/python3 "scripts/demo${1:+_$1}.py"
