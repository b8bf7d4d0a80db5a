#!/usr/bin/env bash
# Measures Nexus and a Linux guest side by side with the peers' runner, which
# the user has in PEERS_DIR. Its downloads and results live in PEERS (default
# ~/.cache/nexus-peers). ROUNDS (3) is how often each guest is run, GUESTS
# (linux-smp1-plain-sv39) names the guests beside Nexus, the first of which is
# what ratios are taken against. Needs root: the runner makes a network
# namespace of its own.
#
#   PEERS_DIR=... scripts/scoreboard.sh BUILD_DIR [RUNNER_FLAG...]
set -euo pipefail
if [ -z "${PEERS_DIR:-}" ] || [ ! -x "${PEERS_DIR:-}/build.sh" ]; then
	echo "scoreboard: set PEERS_DIR to the folder of the peers' runner (it has build.sh and guests.json)" >&2
	exit 2
fi
top=$(cd "$(dirname "$0")/.." && pwd)
NEXUS=$(cd "$1" && pwd)
shift
export NEXUS
export PEERS=${PEERS:-${XDG_CACHE_HOME:-$HOME/.cache}/nexus-peers}
read -ra guests <<<"${GUESTS:-linux-smp1-plain-sv39}"

cd "$PEERS_DIR"
./fetch.sh
./build.sh
exec "$PEERS/peerbench" run -config "guests.json,$top/tests/peers/nexus.json" \
	-base "${guests[0]}" -rounds "${ROUNDS:-3}" \
	-out "$NEXUS/scoreboard.json" -consoles "$NEXUS/consoles" "$@" nexus "${guests[@]}"
