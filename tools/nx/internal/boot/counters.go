package boot

import (
	"context"
	"fmt"
	"time"

	"nexus/source/api/netapi"
	"nexus/tools/nx/internal/control"
	"nexus/tools/nx/internal/rundir"
)

// Counters are what one service of the guest has counted, in its own order.
type Counters struct {
	Service string    `json:"service"`
	List    []Counter `json:"counters"`
}

// Counter is one of them.
type Counter struct {
	Name  string `json:"name"`
	Value uint64 `json:"value"`
}

// counting are the services that count.
var counting = []string{"virtionetd", "netstackd", "controld"}

// countBound bounds the questions to all of them.
const countBound = 3 * time.Second

// askCounters asks every service for its counters. One that does not tell is a
// warning.
func (r *run) askCounters(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, countBound)
	defer cancel()
	for _, service := range counting {
		list, err := counters(ctx, r.opts.Guest.Path(rundir.SocketFile), service)
		if err != nil {
			r.warn(fmt.Errorf("%s's counters are not in the report: %w", service, err))
			continue
		}
		r.report.Counters = append(r.report.Counters, Counters{service, list})
	}
}

func counters(ctx context.Context, socket, service string) (list []Counter, err error) {
	conn, err := control.Dial(ctx, socket).Open(service)
	if err != nil {
		return nil, err
	}
	client := netapi.NewClient(conn)
	defer client.Close()
	deadline, _ := ctx.Deadline()
	client.Timeout = time.Until(deadline)
	told, err := client.Stats()
	for _, c := range told {
		list = append(list, Counter(c))
	}
	return list, err
}
