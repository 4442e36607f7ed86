#!/usr/bin/env bash
# Builds one program for each role, and lets organisations that run a mailbox of the one and an
# engine of the other ping each other: tests that otherwise use the program with both roles.
#
#   scripts/two-binaries.sh
set -euo pipefail
cd "$(dirname "$0")/.."
source scripts/install-prerequisites.sh

for role in fhir bpe; do
    echo "Building dsf with the role $role alone"
    cargo build --no-default-features --features "$role"
    cp target/debug/dsf "target/dsf-$role"
done
export DSF_FHIR_PROGRAM=$PWD/target/dsf-fhir DSF_BPE_PROGRAM=$PWD/target/dsf-bpe
cargo test --test it network::
