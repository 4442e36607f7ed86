#!/usr/bin/env bash
# Three organisations on this machine: builds dsf, starts their FHIR and BPE roles, lets every
# organisation ping every other, and shuts everything down.
#
#   scripts/demo.sh [--keep] [--organizations N]
#
#   --keep   leave the network running; the last line says how to stop it
set -euo pipefail
cd "$(dirname "$0")/.."

keep=no
organizations=3
while [ $# -gt 0 ]; do
    case $1 in
        --keep) keep=yes ;;
        --organizations) organizations=${2:?a number is missing} && shift ;;
        *) sed -n '2,7s/^# \{0,1\}//p' "$0" && exit 2 ;;
    esac
    shift
done

source scripts/install-prerequisites.sh
echo "Building (minutes at first, seconds later)"
cargo build --release

dsf=target/release/dsf
folder=.dsf-dev
log=$folder.log

# `up` is nobody's child when it is kept: it must outlive this script and its terminal.
setsid "$dsf" dev up --organizations "$organizations" --dir "$folder" > "$log" 2>&1 &
network=$!
stop() {
    "$dsf" dev down --dir "$folder" || kill "$network" 2> /dev/null || true
    wait "$network" 2> /dev/null || true
}
trap stop EXIT

for _ in $(seq 600); do
    grep -q '^ready' "$log" && break
    if ! kill -0 "$network" 2> /dev/null; then
        cat "$log" >&2
        echo "The network did not start." >&2
        exit 1
    fi
    sleep 0.2
done
if ! grep -q '^ready' "$log"; then
    tail -n 50 "$log" >&2
    echo "The network was not ready in two minutes; its log is $log." >&2
    exit 1
fi
sed -n '/^ready/,$p' "$log"

"$dsf" dev ping --dir "$folder"

if [ "$keep" = yes ]; then
    trap - EXIT
    echo "The network keeps running; stop it with: $dsf dev down --dir $folder"
fi
