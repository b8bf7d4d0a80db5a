package manifest

import "strings"

// use is a place where something is named.
type use struct {
	service int
	line    int
}

// check looks at the services together: every name once, every channel with
// both ends, every device with one owner, and whoever is needed starts first.
func check(m *Manifest) error {
	if len(m.Services) == 0 {
		return errorAt(1, "no services")
	}
	names := make(map[string]int, len(m.Services))
	for _, s := range m.Services {
		if first, found := names[s.Name]; found {
			return errorAt(s.line, "a second service named %s, the first is in line %d", s.Name, first)
		}
		names[s.Name] = s.line
		if err := checkNames(s); err != nil {
			return err
		}
	}
	owners, err := owners(m)
	if err != nil {
		return err
	}
	needs, err := needs(m, owners)
	if err != nil {
		return err
	}
	return checkOrder(m, needs)
}

// checkNames reports two descriptors of one name in one service.
func checkNames(s Service) error {
	seen := make(map[string]bool, len(s.Descriptors))
	for _, d := range s.Descriptors {
		if seen[d.Name] {
			return errorAt(d.line, "%s: a second descriptor named %s", s.Name, d.Name)
		}
		seen[d.Name] = true
	}
	return nil
}

// owners finds who holds each thing that may be held once only: an end of a
// channel, a window, an interrupt, the serving end of a namespace.
func owners(m *Manifest) ([len(kinds)]map[string]use, error) {
	var all [len(kinds)]map[string]use
	for kind := range all {
		all[kind] = make(map[string]use)
	}
	for i, s := range m.Services {
		for _, d := range s.Descriptors {
			if d.Kind == DMA {
				continue
			}
			if first, found := all[d.Kind][d.Object]; found {
				return all, errorAt(d.line, "%s: %s %s is already %s's, in line %d",
					s.Name, d.Kind, d.Object, m.Services[first.service].Name, first.line)
			}
			all[d.Kind][d.Object] = use{i, d.line}
		}
	}
	return all, nil
}

// need says that a service cannot start before another.
type need struct {
	on   int    // the service that must be there
	line int    // where it is said
	what string // of what kind and name
}

// needs returns for each service whom it needs, in the manifest's order, and
// reports whatever nobody serves or nobody uses.
func needs(m *Manifest, owners [len(kinds)]map[string]use) ([][]need, error) {
	all := make([][]need, len(m.Services))
	for i, s := range m.Services {
		if s.Namespace != "" {
			server, found := owners[Sockets][s.Namespace]
			if !found {
				return nil, errorAt(s.line, "%s: nobody serves namespace %s: give a service {\"sockets\": %q}", s.Name, s.Namespace, s.Namespace)
			}
			all[i] = append(all[i], need{server.service, s.line, "namespace " + s.Namespace})
		}
		for _, d := range s.Descriptors {
			switch d.Kind {
			case Connect:
				server, found := owners[Serve][d.Object]
				if !found {
					return nil, errorAt(d.line, "%s: nobody serves channel %s: give a service {\"serve\": %q}", s.Name, d.Object, d.Object)
				}
				all[i] = append(all[i], need{server.service, d.line, "channel " + d.Object})
			case Serve:
				if _, found := owners[Connect][d.Object]; !found {
					return nil, errorAt(d.line, "%s: nobody connects to channel %s: give a service {\"connect\": %q}", s.Name, d.Object, d.Object)
				}
			}
		}
	}
	return all, nil
}

// checkOrder reports a service that needs one which does not start before it;
// services that need each other are named as a circle.
func checkOrder(m *Manifest, needs [][]need) error {
	for i, list := range needs {
		for _, n := range list {
			if n.on < i {
				continue
			}
			name, other := m.Services[i].Name, m.Services[n.on].Name
			if back := pathTo(needs, n.on, i, make([]bool, len(needs))); back != nil {
				circle := []string{name}
				for _, step := range back {
					circle = append(circle, m.Services[step].Name)
				}
				return errorAt(n.line, "services wait for each other: %s", strings.Join(circle, " -> "))
			}
			return errorAt(n.line, "%s needs %s of %s, which starts later: move %s in front of %s",
				name, n.what, other, other, name)
		}
	}
	return nil
}

// pathTo returns a way from one service to another along their needs, both ends
// included, or nil.
func pathTo(needs [][]need, from, to int, seen []bool) []int {
	if from == to {
		return []int{to}
	}
	seen[from] = true
	for _, n := range needs[from] {
		if seen[n.on] {
			continue
		}
		if rest := pathTo(needs, n.on, to, seen); rest != nil {
			return append([]int{from}, rest...)
		}
	}
	return nil
}
