#!/usr/bin/env bash
# The marker contract: boots Nexus on each back end of the network card that
# this machine permits and checks console and capture against
# tests/contract/markers.json. Arguments are those of `nx boot`, for each boot.
# Status 0: every boot is proven; 1: one is not; 2: nothing could be run.
set -euo pipefail
cd "$(dirname "$0")/.."
make -s build
build/nx boot --nic wire "$@"
if reason=$(build/nx tap -- true 2>&1); then
	build/nx boot --nic tap "$@"
else
	echo "qemu-test: not on a TAP: $reason"
fi
