#!/usr/bin/env bash
# After a change to the bring-up: the marker contract on every back end of the
# network card that this machine permits, in each way the guest can get its
# address, and two boots that count instructions compared. Ends with status 0 when
# all hold; the first that does not ends it.
set -euo pipefail
cd "$(dirname "$0")/.."
for net in stub static dhcp; do
	echo "postflight: --net $net"
	scripts/qemu-test.sh --net "$net"
done
echo "postflight: determinism"
build/nx same --boots 2
echo "postflight: bring-up v1.2 ok"
