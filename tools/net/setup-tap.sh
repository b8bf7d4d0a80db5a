#!/usr/bin/env bash
# Runs a command (default: $SHELL) where there is a TAP for a guest: tap0
# ($TAP_IF) with 10.0.2.2/24, bridged to nothing, the host's echo services
# (UDP 7, HTTP 8080) at work on it.
#
#   tools/net/setup-tap.sh [COMMAND [ARGUMENT...]]
#
# It needs /dev/net/tun to be open to the caller, and root or permission to make
# user namespaces (kernel.unprivileged_userns_clone, AppArmor). Nothing outside
# changes: the TAP lives in a private network namespace, which ends, with the
# TAP in it, when COMMAND does, however that is.
set -euo pipefail
exec "$(dirname "${BASH_SOURCE[0]}")/../../scripts/nx" tap --echo -- "$@"
