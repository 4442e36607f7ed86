#!/usr/bin/env bash
# Plays the black-box cases of ../shared/conformance against a FHIR role and compares what fails
# with tests/conformance-known.txt: a failure that is not listed there is an error, and so is a
# listed case that passes. Few failures are played once more, since a machine may stand still for
# longer than a time-out; a case that then passes is named as unsteady.
#
#   scripts/conformance.sh [--bless] [arguments of pytest]
#
#   --bless   print the list as it would have to be, instead of judging
#
# DSF_SHARED names the folder with the cases, DSF_PROGRAM the program [default: target/debug/dsf].
set -euo pipefail
cd "$(dirname "$0")/.."

cases=${DSF_SHARED:-../shared}/conformance
if [ ! -d "$cases" ]; then
    echo "SKIPPED: no conformance cases in $cases"
    exit 0
fi
cases=$(realpath "$cases")
program=$(realpath "${DSF_PROGRAM:-target/debug/dsf}")
known=$(realpath tests/conformance-known.txt)
bless=no
if [ "${1:-}" = --bless ]; then bless=yes && shift; fi

venv=target/conformance-venv
packages='pytest httpx cryptography websockets lxml'
if [ ! -x "$venv/bin/pytest" ]; then
    # shellcheck disable=SC2086 # several words on purpose
    if ! python3 -m venv "$venv" || ! "$venv/bin/pip" install --quiet $packages; then
        rm -rf "$venv"
        echo "SKIPPED: the black-box cases need Python's venv and $packages"
        exit 0
    fi
fi

world=$(mktemp -d)
server=
finish() {
    if [ -n "$server" ]; then kill "$server" 2> /dev/null && wait "$server" || true; fi
    rm -rf "$world"
}
trap finish EXIT

free_port() {
    python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])'
}
port=$(free_port)
"$venv/bin/python" "$cases/world.py" "$world" --port "$port" --status-port "$(free_port)"
# PostgreSQL may have to run as another user, who must reach its folder.
chmod 711 "$world"
"$program" serve --role fhir --config "$world/dsf.toml" > "$world/log" 2>&1 &
server=$!
for _ in $(seq 300); do
    if (exec 3<> "/dev/tcp/127.0.0.1/$port") 2> /dev/null; then break; fi
    if ! kill -0 "$server" 2> /dev/null; then
        cat "$world/log" >&2
        exit 1
    fi
    sleep 0.1
done

# Results go to the given file; arguments of pytest follow.
play() {
    DSF_WORLD=$world PYTHONDONTWRITEBYTECODE=1 "$venv/bin/python" -m pytest -q --tb=line -rfE \
        -o "cache_dir=$world/cache" --junitxml="$1" "${@:2}" "$cases" > "$world/pytest" 2>&1 || true
    tail -n 1 "$world/pytest"
}
play "$world/report.xml" "$@"
failures=$("$venv/bin/python" -c 'import json, sys; print(len(json.load(open(sys.argv[1]))))' \
    "$world/cache/v/cache/lastfailed" 2> /dev/null || echo 0)
if [ "$failures" -gt 0 ] && [ "$failures" -le 10 ]; then
    play "$world/again.xml" --last-failed "$@"
fi

"$venv/bin/python" - "$world" "$known" "$bless" <<'PYTHON'
import pathlib
import sys
import xml.etree.ElementTree as tree

world, known, bless = sys.argv[1:]


def results(report):
    """The names of all cases that were played, and the messages of those that failed."""
    ran, failed = set(), {}
    for case in tree.parse(report).iter("testcase"):
        name = f"{case.get('classname').split('.')[-1]}::{case.get('name')}"
        ran.add(name)
        for kind in ("failure", "error"):
            if (found := case.find(kind)) is not None:
                lines = (found.get("message") or "").splitlines()
                failed[name] = lines[0][:160] if lines else "no message"
    return ran, failed


ran, failed = results(f"{world}/report.xml")
if pathlib.Path(f"{world}/again.xml").exists():
    again, still = results(f"{world}/again.xml")
    for name in sorted(again - still.keys()):
        print(f"UNSTEADY  {name}: {failed.pop(name, 'failed at first')}")
if not ran:
    sys.exit("no case was played")
reasons = {}
for line in open(known, encoding="utf-8"):
    if line.strip() and not line.startswith("#"):
        name, _, reason = line.rstrip("\n").partition("  # ")
        reasons[name] = reason
if bless == "yes":
    for name in sorted(failed):
        print(f"{name}  # {reasons.get(name) or failed[name]}")
    sys.exit()
new = sorted(failed.keys() - reasons.keys())
mended = sorted(name for name in reasons if name in ran and name not in failed)
for name in new:
    print(f"FAILED  {name}: {failed[name]}")
for name in mended:
    print(f"PASSES, but is listed as failing: {name}")
print(f"{len(ran)} cases, {len(failed)} fail, {len(reasons)} of them known")
sys.exit(bool(new or mended))
PYTHON
