package netcli

import (
	"context"
	"errors"
	"flag"
	"path"
	"strconv"
	"strings"
	"time"

	"nexus/source/api/netapi"
)

// counted are the services whose counters stats shows, in this order.
func counted() []string { return []string{Netstackd, Virtionetd, Controld} }

// group is the counters of one service.
type group struct {
	Service  string    `json:"service"`
	Counters []counter `json:"counters"`
}

type counter struct {
	Name  string `json:"name"`
	Value uint64 `json:"value"`
}

// statsPlan is what stats was asked for.
type statsPlan struct {
	pattern string
	nonzero bool
	watch   time.Duration // 0 for once
}

func statsCommand() Command {
	c := Command{
		Name:      "stats",
		Arguments: "[PATTERN]",
		Short:     "Show the counters of the network services",
		Long: `Show every counter of netstackd, virtionetd and controld, in groups: frames, wake-ups, drops by reason, resets. PATTERN
picks those whose name contains it, or matches it where it has *, ? or [. With --watch only what changed is shown, after
each time, until ^C.`,
		Example: "nx net stats\nnx net stats drop --nonzero\nnx net stats 'nic.rx.*' --watch 1s",
	}
	c.Prepare = func(flags *flag.FlagSet) Runner {
		nonzero := flags.Bool("nonzero", false, "leave out counters that are zero")
		watch := &seconds{low: 100 * time.Millisecond, high: time.Hour}
		flags.Var(watch, "watch", "show what changed, each time after this long")
		return func(ctx context.Context, env *Env, args []string) error {
			if err := arguments(args, 0, 1, c); err != nil {
				return err
			}
			plan := statsPlan{nonzero: *nonzero, watch: watch.value}
			if len(args) == 1 {
				plan.pattern = args[0]
			}
			if _, err := path.Match(plan.pattern, ""); err != nil {
				return Usagef("%q is no pattern: a [ has no ]; want a part of a name, or * ? [a-z]", cut(plan.pattern))
			}
			if env.JSON && plan.watch > 0 {
				return Usagef("stats: --watch prints as it goes and --json one document: leave one out")
			}
			return stats(ctx, env, plan)
		}
	}
	return c
}

func (p statsPlan) picks(name string) bool {
	if strings.ContainsAny(p.pattern, "*?[") {
		ok, err := path.Match(p.pattern, name)
		return ok && err == nil
	}
	return strings.Contains(name, p.pattern)
}

func stats(ctx context.Context, env *Env, plan statsPlan) error {
	all, err := openSources(ctx, env)
	if err != nil {
		return err
	}
	defer all.close()
	defer context.AfterFunc(ctx, all.close)()
	groups, err := all.collect(ctx, plan)
	if err != nil {
		return err
	}
	if env.JSON {
		return env.document(map[string]any{"services": groups})
	}
	env.counters(groups)
	if plan.watch == 0 {
		return nil
	}
	return all.watch(ctx, plan, groups)
}

// sources are the services that can be had, with clients that last for the whole run.
type sources struct {
	env     *Env
	names   []string
	clients []*netapi.Client
}

// openSources opens each counted service; those that cannot be had are said and left out, unless that is all.
func openSources(ctx context.Context, env *Env) (*sources, error) {
	s := &sources{env: env}
	var missing error
	for _, service := range counted() {
		conn, err := env.open(ctx, service)
		if errors.Is(err, ErrNoService) {
			missing = err
			env.note("nx: left out: %v", err)
			continue
		}
		if err != nil {
			s.close()
			return nil, err
		}
		client := netapi.NewClient(conn)
		if env.Patience > 0 {
			client.Timeout = env.Patience
		}
		s.names, s.clients = append(s.names, service), append(s.clients, client)
	}
	if len(s.clients) == 0 {
		return nil, missing
	}
	return s, nil
}

func (s *sources) close() {
	for _, client := range s.clients {
		client.Close()
	}
}

// collect asks each service for its counters, and keeps those of the plan.
func (s *sources) collect(ctx context.Context, plan statsPlan) ([]group, error) {
	all := []group{}
	for i, client := range s.clients {
		list, err := client.Stats()
		if err != nil {
			return nil, s.env.explain(ctx, s.names[i], err)
		}
		g := group{Service: s.names[i], Counters: []counter{}}
		for _, c := range list {
			if plan.picks(c.Name) && (c.Value > 0 || !plan.nonzero) {
				g.Counters = append(g.Counters, counter{c.Name, c.Value})
			}
		}
		all = append(all, g)
	}
	return all, nil
}

// counters prints groups of counters, the values aligned to the right.
func (e *Env) counters(all []group) {
	name, value := 0, 0
	for _, g := range all {
		for _, c := range g.Counters {
			name = max(name, len(c.Name))
			value = max(value, len(strconv.FormatUint(c.Value, 10)))
		}
	}
	shown := 0
	for _, g := range all {
		if len(g.Counters) > 0 {
			e.line("%s", g.Service)
		}
		for _, c := range g.Counters {
			e.line("  %-*s  %*d", name, c.Name, value, c.Value)
			shown++
		}
	}
	if shown == 0 {
		e.note("nx: no counter is left: a wider PATTERN, or without --nonzero?")
	}
}

// watch shows what changed since the last look until ctx is done, which is how it is meant to end.
func (s *sources) watch(ctx context.Context, plan statsPlan, last []group) error {
	env := s.env
	plan.nonzero = false // one that was zero may have changed
	seen := valuesOf(last)
	start := env.Clock.Now()
	for env.unwritten == nil {
		env.Clock.Wait(ctx, plan.watch)
		if ctx.Err() != nil {
			return nil
		}
		all, err := s.collect(ctx, plan)
		if errors.Is(err, errInterrupted) {
			return nil
		}
		if err != nil {
			return err
		}
		env.line("after %v", env.Clock.Now().Sub(start).Round(time.Millisecond))
		for _, g := range all {
			for _, c := range g.Counters {
				if change := int64(c.Value - seen[g.Service+" "+c.Name]); change != 0 {
					env.line("  %s %s %+d", g.Service, c.Name, change)
				}
			}
		}
		seen = valuesOf(all)
	}
	return nil
}

func valuesOf(all []group) map[string]uint64 {
	values := make(map[string]uint64)
	for _, g := range all {
		for _, c := range g.Counters {
			values[g.Service+" "+c.Name] = c.Value
		}
	}
	return values
}
