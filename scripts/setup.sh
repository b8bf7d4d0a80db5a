#!/usr/bin/env bash
# Installs what the make targets need and this machine lacks, with apt, as root
# or through `sudo -n`. Without either it says in one line what to install and
# ends with status 1. Does nothing, quickly, when everything is there.
#
#   scripts/setup.sh            install what is missing
#   scripts/setup.sh --check    only say what is missing (status 1 if anything is)
set -euo pipefail

# What must be there (a program, or a file by its path) and the package of it.
needs=(
	qemu-system-riscv64:qemu-system-misc
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
	qemu-riscv64-static:qemu-user-static
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

missing=()
for need in "${needs[@]}"; do
	what=${need%:*}
	case $what in
	/*) [ -e "$what" ] || missing+=("${need##*:}") ;;
	*) command -v "$what" >/dev/null || missing+=("${need##*:}") ;;
	esac
done

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

# Newer distributions have QEMU for RISC-V in a package of its own.
install() {
	if apt-cache show qemu-system-riscv >/dev/null 2>&1; then
		missing=("${missing[@]/%qemu-system-misc/qemu-system-riscv}")
	fi
	"${run[@]}" env DEBIAN_FRONTEND=noninteractive \
		apt-get install -yq --no-install-recommends "${missing[@]}" </dev/null
}

echo "setup: installing ${missing[*]}"
# The package lists may be absent or old; fetch them only then.
if ! install >/dev/null 2>&1; then
	"${run[@]}" apt-get update -q </dev/null
	install
fi
