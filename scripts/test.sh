#!/usr/bin/env bash
# Runs all tests: scripts/test.sh [arguments of cargo test]
set -euo pipefail
cd "$(dirname "$0")/.."
source scripts/install-prerequisites.sh

cargo test --no-fail-fast "$@"
