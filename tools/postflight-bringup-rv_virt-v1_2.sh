#!/usr/bin/env bash
# The whole proof of bring-up v1.2: builds Nexus and boots it on every back end of
# the network card (wire, tap, QEMU's user network), in each way the guest can
# get its address, from dnsmasq too, and twice to compare. Ends with one table, and with
# status 0 when every row holds. Flags are those of `nx postflight`, e.g.
# --only wire,user, --json.
set -euo pipefail
cd "$(dirname "$0")/.."
make -s build >&2
exec build/nx postflight "$@"
