#!/usr/bin/env bash
# Static checks of the whole tree: formatting, go vet for the host and for the
# guest, staticcheck, shellcheck. Says what is wrong and ends with status 1.
set -euo pipefail
cd "$(dirname "$0")/.."

status=0
complain() {
	echo "check: $*" >&2
	status=1
}

unformatted=$(git ls-files -z '*.go' | xargs -0 gofmt -l)
[ -z "$unformatted" ] || complain "not gofmt-ed: $unformatted"

go vet ./... || complain "go vet"
# The kernel's own assembly is checked here too. Pointers made from addresses
# are its business, so unsafeptr is off.
GOOS=linux GOARCH=riscv64 CGO_ENABLED=0 go vet -unsafeptr=false ./... || complain "go vet for riscv64"

go tool -modfile=tools/lint/go.mod staticcheck ./... || complain "staticcheck"

# Scripts by name or by their first line.
mapfile -t scripts < <(git grep -lE '^#!/.*\b(ba)?sh$' -- . ':!*.md')
[ ${#scripts[@]} -eq 0 ] || shellcheck "${scripts[@]}" || complain "shellcheck"

exit $status
