#!/usr/bin/env bash
# The host's echo services at 10.0.2.2, until it is told to end: UDP 7 returns each
# datagram, TCP 8080 answers GET /hello with the same text every time.
# To be run beside a TAP, in the namespace that `nx tap` makes; setup-tap.sh
# runs it already.
set -euo pipefail
exec "$(dirname "${BASH_SOURCE[0]}")/../../scripts/nx" echo "$@"
