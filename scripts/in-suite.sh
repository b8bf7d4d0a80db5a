#!/usr/bin/env bash
# Runs a command (default: make test) on another Debian: in a folder made of the
# suite by mmdebstrap, with this checkout and the host's Go inside.
#
#   scripts/in-suite.sh trixie             make test on Debian trixie
#   scripts/in-suite.sh sid make run       another command there
#
# The folder is made once and kept, and what scripts/setup.sh installs in it stays:
# SUITE below $NEXUS_SUITES (default ~/.cache/nexus-suites), beside it SUITE.cache
# with what the suite compiles. Remove both to start anew. Needs root, for it mounts:
# all that is in a namespace of its own, which ends with the command, and so does
# every process that the command started.
set -euo pipefail
export LC_ALL=C.UTF-8

fail() {
	echo "in-suite: $*" >&2
	exit 2
}

suite=${1:-}
[[ $suite =~ ^[a-z]+$ ]] || fail "which Debian? scripts/in-suite.sh SUITE [COMMAND...], for example: scripts/in-suite.sh sid make test"
shift
[ $# -gt 0 ] || set -- make test
[ "$(id -u)" -eq 0 ] || fail "needs root, for it mounts: sudo -E env PATH=\"\$PATH\" scripts/in-suite.sh $suite $*"
command -v go >/dev/null || fail "go is not in PATH (sudo drops it): sudo -E env PATH=\"\$PATH\" scripts/in-suite.sh $suite $*"

cd "$(dirname "$0")/.."
top=$PWD
suites=${NEXUS_SUITES:-${XDG_CACHE_HOME:-${HOME:-/root}/.cache}/nexus-suites}
mkdir -p "$suites"
suites=$(cd "$suites" && pwd)
root=$suites/$suite cache=$suites/$suite.cache

# Two runs at once make a suite once.
exec 9>"$suites/$suite.lock"
flock -n 9 || { echo "in-suite: waiting for another run that makes $root" >&2; flock 9; }
if [ ! -d "$root" ]; then
	command -v mmdebstrap >/dev/null || fail "needs mmdebstrap: apt-get install mmdebstrap"
	echo "in-suite: making Debian $suite in $root, once; this takes minutes" >&2
	rm -rf "$root.new"
	trap 'rm -rf "$root.new"' EXIT
	mmdebstrap --variant=minbase --aptopt='Acquire::Check-Valid-Until "false"' \
		--include=ca-certificates,git,make "$suite" "$root.new" >&2 ||
		fail "mmdebstrap failed: is $suite a suite of Debian, and can its mirror be reached?"
	mv "$root.new" "$root"
	trap - EXIT
fi
exec 9>&-

# The module cache is the host's. Compiled code is not: it depends on the C library.
modules=$(go env GOMODCACHE) goroot=$(go env GOROOT)
git=$(git -c safe.directory="$top" rev-parse --path-format=absolute --git-common-dir)
mkdir -p "$modules" "$cache/go-build" "$cache/build" "$top/build"

# inside runs as the namespaces' first process; what it is given stands in the environment.
# shellcheck disable=SC2016 # it is that bash which expands
inside='
set -euo pipefail
at() { mkdir -p "$root$2"; mount --bind "$1" "$root$2"; }
mount --bind "$root" "$root"
at "$goroot" /usr/local/go
at "$modules" "$modules"
at "$git" "$git"
at "$top" "$top"
at "$cache/build" "$top/build" # not to be mixed with what the host built
at "$cache/go-build" /root/.cache/go-build
mount --rbind /dev "$root/dev"
mount --rbind /sys "$root/sys"
mount -t proc proc "$root/proc"
mount -t tmpfs tmpfs "$root/tmp"
mount -t tmpfs tmpfs "$root/run"
for file in /etc/resolv.conf /etc/hosts; do
	[ ! -e "$file" ] || cp -L --remove-destination "$file" "$root$file"
done
mkdir -p "$root/.host" "$root/var/tmp"
cd "$root"
pivot_root . .host
umount -l /.host
cd "$top"
mapfile -td "" command </proc/self/fd/8
exec 8<&-
status=0 # this stays the first process: it buries those whose parents ended
"${command[@]}" || status=$?
exit "$status"
'
keep=()
for name in TERM http_proxy https_proxy no_proxy GOTOOLCHAIN FUZZTIME; do
	[ -z "${!name:-}" ] || keep+=("$name=${!name}")
done
(
	trap - INT
	exec env -i "${keep[@]}" LC_ALL=C.UTF-8 HOME=/root USER=root \
		PATH=/usr/local/go/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin \
		GOMODCACHE="$modules" GOPROXY="$(go env GOPROXY)" GOSUMDB="$(go env GOSUMDB)" GOFLAGS="$(go env GOFLAGS)" GOTMPDIR=/var/tmp \
		GIT_CONFIG_COUNT=1 GIT_CONFIG_KEY_0=safe.directory GIT_CONFIG_VALUE_0="$top" \
		root="$root" goroot="$goroot" modules="$modules" git="$git" top="$top" cache="$cache" \
		unshare --mount --pid --fork --kill-child --propagation private -- bash -c "$inside" in-suite 8< <(printf '%s\0' "$@")
) <&0 &
child=$!
# ^C reaches the command by itself; another signal ends all of it.
trap : INT
trap 'kill -KILL "$child"' TERM HUP
while
	status=0
	wait "$child" 2>/dev/null || status=$?
	kill -0 "$child" 2>/dev/null
do :; done
exit "$status"
