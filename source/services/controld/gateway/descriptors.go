package gateway

import (
	"fmt"
	"slices"
	"strings"

	"nexus/source/libs/channel"
	"nexus/source/libs/svc"
)

// FromDescriptors makes pools of the channels that nexus-init handed over: netstackd.0 and netstackd.1 are two to
// netstackd. Descriptors of the kinds in others are not channels, and notify is none.
func FromDescriptors(s *svc.Service, others ...string) ([]Pool, error) {
	var pools []Pool
	for _, d := range s.All() {
		service, _, _ := strings.Cut(d.Name, ".")
		if d.Name == svc.NotifyName || slices.Contains(others, service) {
			continue
		}
		conn, err := channel.Open(d.File)
		if err != nil {
			return nil, fmt.Errorf("descriptor %s: %w", d.Name, err)
		}
		i := slices.IndexFunc(pools, func(p Pool) bool { return p.Service == service })
		if i < 0 {
			i = len(pools)
			pools = append(pools, Pool{Service: service})
		}
		pools[i].Channels = append(pools[i].Channels, conn)
	}
	return pools, nil
}
