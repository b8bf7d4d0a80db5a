#!/usr/bin/env bash
# Runs every fuzz target of the tree for a while (default 10s each), one after
# the other, and names those that found something.
set -euo pipefail
cd "$(dirname "$0")/.."
time=${1:-10s}
status=0
while IFS=: read -r file target; do
	echo "fuzz: $(dirname "$file") $target"
	go test "./$(dirname "$file")" -run '^$' -fuzz "^$target\$" -fuzztime "$time" || {
		echo "fuzz: $target in $(dirname "$file") found something" >&2
		status=1
	}
done < <(git grep -oE '^func Fuzz[A-Za-z0-9_]+' -- '*_test.go' | sed 's/:func /:/')
exit $status
