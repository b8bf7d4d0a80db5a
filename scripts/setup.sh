#!/usr/bin/env bash
# Installs what the make targets need and this machine lacks, with apt, as root
# or through `sudo -n`. Without either it says in one line what to install and
# ends with status 1. Does nothing, quickly, when everything is there.
#
#   scripts/setup.sh            install what is missing
#   scripts/setup.sh --check    only say what is missing (status 1 if anything is)
set -euo pipefail

# What must be there (a program, or a file by its path) and the package of it. Where a distribution may have one of
# several, the first that is there, or that apt knows, is taken.
needs=(
	'qemu-system-riscv64:qemu-system-riscv|qemu-system-misc'
	/usr/share/qemu/opensbi-riscv64-generic-fw_dynamic.bin:opensbi
	dtc:device-tree-compiler
	capnp:capnproto
	dnsmasq:dnsmasq-base
	ip:iproute2
	tcpdump:tcpdump
	curl:curl
	ping:iputils-ping
	unshare:util-linux
	shellcheck:shellcheck
	/usr/lib/u-boot/qemu-riscv64_smode/u-boot.bin:u-boot-qemu
	'qemu-riscv64-static|qemu-riscv64:qemu-user-static|qemu-user'
	cpio:cpio
	gcc:gcc
	/usr/include/stdlib.h:libc6-dev
	git:git
	make:make
	groff:groff-base
	/usr/bin/chromium:chromium
)

# Debian keeps ip and dnsmasq in sbin, which a user's PATH may lack.
PATH=$PATH:/usr/sbin:/sbin

# have tells whether one of a need's programs or files is there.
have() {
	local what all
	IFS='|' read -ra all <<<"$1"
	for what in "${all[@]}"; do
		case $what in
		/*) [ ! -e "$what" ] || return 0 ;;
		*) ! command -v "$what" >/dev/null || return 0 ;;
		esac
	done
	return 1
}

absent=()
for need in "${needs[@]}"; do
	have "${need%:*}" || absent+=("${need##*:}")
done

# choose sets missing to the packages, of several names the first that apt knows, else the last.
choose() {
	local need name all
	missing=()
	for need in ${absent[@]+"${absent[@]}"}; do
		IFS='|' read -ra all <<<"$need"
		for name in "${all[@]}"; do
			apt-cache show "$name" >/dev/null 2>&1 && break
		done
		missing+=("$name")
	done
}
choose

if ! command -v go >/dev/null; then
	echo "setup: Go 1.26 or newer is not in PATH; see https://go.dev/doc/install" >&2
	exit 1
fi

[ ${#missing[@]} -gt 0 ] || exit 0

if [ "${1:-}" = --check ]; then
	echo "setup: missing: ${missing[*]}" >&2
	exit 1
fi

run=()
if [ "$(id -u)" -ne 0 ]; then
	if ! sudo -n true 2>/dev/null; then
		echo "setup: needs root for: apt-get install --no-install-recommends ${missing[*]}" >&2
		exit 1
	fi
	run=(sudo -n)
fi
if ! command -v apt-get >/dev/null; then
	echo "setup: no apt-get on this machine; install the equivalents of: ${missing[*]}" >&2
	exit 1
fi

install() {
	"${run[@]}" env DEBIAN_FRONTEND=noninteractive \
		apt-get install -yq --no-install-recommends "${missing[@]}" </dev/null
}

echo "setup: installing ${missing[*]}"
# The package lists may be absent or old; fetch them only then.
if ! install >/dev/null 2>&1; then
	"${run[@]}" apt-get update -q </dev/null
	choose
	install
fi
