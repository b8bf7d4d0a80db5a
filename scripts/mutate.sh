#!/usr/bin/env bash
# Mutation testing of one package: gremlins changes the code in one place at a time
# and runs the package's tests, which should notice. Prints the mutants that lived,
# each with its place, and a count: killed of covered is what the tests see of the code
# that they run.
#
#   scripts/mutate.sh ./source/kernel/neuron/internal/vm
#
# A mutant that lives is a fact that no test states, or a change that changes
# nothing. MUTATETIME (30m) bounds the whole; what was found till then is printed.
set -euo pipefail
cd "$(dirname "$0")/.."

if [ $# -ne 1 ] || [ ! -d "$1" ]; then
	echo "mutate: name a package's folder: make mutate PKG=./source/kernel/neuron/internal/vm" >&2
	exit 2
fi
package=./${1#./}
go test -count=1 "$package" >/dev/null || {
	echo "mutate: the tests of $package fail as it is: go test $package" >&2
	exit 1
}

log=$(mktemp)
trap 'rm -f "$log"' EXIT
# Each mutant is compiled anew, so a bound that follows the tests' own time alone is too short on a busy machine.
status=0
timeout --signal=INT "${MUTATETIME:-30m}" \
	go tool -modfile=tools/mutate/go.mod gremlins unleash --timeout-coefficient 30 "$package" >"$log" 2>&1 || status=$?

awk -v package="$package" '
	/ at [^ ]+\.go:[0-9]+/ {
		kind = $0; sub(/^ +/, "", kind); sub(/ [A-Z_]+ at .*/, "", kind)
		count[kind]++
		if (kind == "LIVED" || kind == "TIMED OUT") print
	}
	END {
		covered = count["KILLED"] + count["LIVED"]
		printf "%s: %d of %d covered mutants killed", package, count["KILLED"], covered
		if (covered) printf " (%d %%)", 100 * count["KILLED"] / covered
		printf ", %d lived, %d timed out, %d not covered\n", count["LIVED"], count["TIMED OUT"], count["NOT COVERED"]
	}' "$log"

case $status in
0) ;;
124) echo "mutate: not all were tried: MUTATETIME was over" >&2; exit 1 ;;
*) tail -n 5 "$log" >&2; exit "$status" ;;
esac
