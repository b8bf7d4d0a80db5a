#!/usr/bin/env bash
# Runs a command (default: $SHELL) where there is a TAP for a guest: tap0
# ($TAP_IF) with 10.0.2.2/24, bridged to nothing, the host's echo services
# (UDP 7, HTTP 8080) at work on it.
#
#   tools/net/setup-tap.sh [COMMAND [ARGUMENT...]]
#   tools/net/setup-tap.sh --persist [--owner USER]
#   tools/net/setup-tap.sh --remove
#
# It needs /dev/net/tun to be open to the caller, and root (CAP_SYS_ADMIN and
# CAP_NET_ADMIN) or permission to make user namespaces
# (kernel.unprivileged_userns_clone, user.max_user_namespaces, AppArmor). Nothing
# outside changes: the TAP lives in a private network namespace, which ends, with
# the TAP and all processes in it, when COMMAND does or any process of this is
# killed, however that is.
#
# --persist, which is never the default, makes the TAP in the caller's own network
# namespace instead and leaves it there, without a command and without the echo
# services; it needs root or CAP_NET_ADMIN and says how to remove the TAP.
set -euo pipefail
nx=$(dirname "${BASH_SOURCE[0]}")/../../scripts/nx
case ${1:-} in
-h | --help | --persist | --remove) exec "$nx" tap "$@" ;;
*) exec "$nx" tap --echo "$@" ;;
esac
