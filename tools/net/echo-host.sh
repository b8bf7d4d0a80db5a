#!/usr/bin/env bash
# The host's echo services until ^C or SIGTERM: UDP 7 returns each datagram as it
# came, TCP 8080 answers GET /hello with the same bytes every time.
#
#   tools/net/echo-host.sh [--address 10.0.2.2] [--udp-port 7] [--http-port 8080]
#
# The address must be one of this network namespace: 10.0.2.2 is there beside a
# TAP (setup-tap.sh, which serves there already, or setup-tap.sh --persist),
# 127.0.0.1 everywhere. Port 7 needs root or CAP_NET_BIND_SERVICE.
set -euo pipefail
exec "$(dirname "${BASH_SOURCE[0]}")/../../scripts/nx" echo "$@"
