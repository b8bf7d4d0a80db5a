#!/usr/bin/env bash
# Builds Nexus, boots it in QEMU and proves the boot. Arguments are those of
# `nx boot` (--help lists them), e.g. --nic tap|wire, --stay, --pcap FILE.
# The network card is on a TAP ($TAP_IF, else tap0) in a private namespace where
# /dev/net/tun can be opened, else on a socket to a host that nx plays.
set -euo pipefail
cd "$(dirname "$0")/.."
make -s build
exec build/nx boot "$@"
