package manifest

import (
	"fmt"
	"path"
	"strings"
	"time"

	"nexus/source/init/nexus-init/netmode"
	"nexus/source/libs/svc"
)

// Parse reads and checks a manifest. Its errors wrap ErrManifest and name the
// line, and the field where there is one.
func Parse(data []byte) (*Manifest, error) {
	if len(data) > MaxSize {
		return nil, fmt.Errorf("%w: longer than %d bytes", ErrManifest, MaxSize)
	}
	r := newReader(data)
	m := &Manifest{Net: netmode.Setting{Mode: netmode.Stub}}
	err := r.object(map[string]func() error{
		"net":      func() error { return r.setting(&m.Net.Mode, netmode.CheckMode) },
		"address":  func() error { return r.setting(&m.Net.Address, netmode.CheckAddress) },
		"gateway":  func() error { return r.setting(&m.Net.Gateway, netmode.CheckGateway) },
		"stay":     func() error { return r.boolean(&m.Stay) },
		"services": func() error { return r.array(MaxServices, func() error { return r.service(m) }) },
	})
	if err == nil {
		err = r.end()
	}
	if err == nil {
		if err := m.Net.Check(); err != nil {
			return nil, errorAt(1, "net, address, gateway: %v", err)
		}
		err = check(m)
	}
	if err != nil {
		return nil, err
	}
	return m, nil
}

// setting reads one text of the network's setting.
func (r *reader) setting(into *string, check func(string) error) error {
	var text string
	if err := r.text(&text, maxText, "a text", isPlain); err != nil {
		return err
	}
	if err := check(text); err != nil {
		return r.errorf("%v, got %q", err, text)
	}
	*into = text
	return nil
}

// service reads one service and appends it to m.
func (r *reader) service(m *Manifest) error {
	s := Service{line: r.line()}
	var ready string
	var milliseconds int64
	err := r.object(map[string]func() error{
		"name": func() error {
			s.line = r.line()
			return r.text(&s.Name, maxName, "a name of a-z, 0-9 and -", isServiceName)
		},
		"program":   func() error { return r.text(&s.Program, maxText, "an absolute path", isProgram) },
		"arguments": func() error { return r.texts(&s.Arguments, "an argument", isPlain) },
		"environment": func() error {
			return r.array(maxList, func() error { return r.variable(&s) })
		},
		"settings":  func() error { return r.texts(&s.Settings, "net", isSetting) },
		"namespace": func() error { return r.text(&s.Namespace, maxName, "a name of a-z, 0-9 and -", isObjectName) },
		"ready": func() error {
			return r.text(&ready, maxName, "notify or exit", func(t string) bool { return t == "notify" || t == "exit" })
		},
		"timeoutMs": func() error { return r.integer(&milliseconds, 1, MaxTimeout.Milliseconds()) },
		"descriptors": func() error {
			return r.array(MaxDescriptors, func() error { return r.descriptor(&s) })
		},
	})
	switch {
	case err != nil:
		return err
	case s.Name == "":
		return r.errorf("has no name")
	case s.Program == "":
		return r.errorf("%s has no program", s.Name)
	case milliseconds == 0:
		return r.errorf("%s has no timeoutMs", s.Name)
	case ready == "":
		return r.errorf("%s has no ready", s.Name)
	}
	if ready == "exit" {
		s.Ready = Exited
	}
	s.Timeout = time.Duration(milliseconds) * time.Millisecond
	m.Services = append(m.Services, s)
	return nil
}

// texts reads a list of strings.
func (r *reader) texts(into *[]string, want string, good func(string) bool) error {
	return r.array(maxList, func() error {
		var text string
		if err := r.text(&text, maxText, want, good); err != nil {
			return err
		}
		*into = append(*into, text)
		return nil
	})
}

// variable reads "NAME=VALUE". The names of the start-up contract are refused:
// only nexus-init says what a service was given.
func (r *reader) variable(s *Service) error {
	var text string
	if err := r.text(&text, maxText, "NAME=VALUE", isPlain); err != nil {
		return err
	}
	name, value, found := strings.Cut(text, "=")
	if !found || name == "" {
		return r.errorf("want NAME=VALUE, got %q", text)
	}
	if strings.HasPrefix(name, "LISTEN_") || strings.HasPrefix(name, "NEXUS_") {
		return r.errorf("%s is nexus-init's own", name)
	}
	for _, v := range s.Environment {
		if v.Name == name {
			return r.errorf("%s is there twice", name)
		}
	}
	s.Environment = append(s.Environment, Variable{name, value})
	return nil
}

// descriptor reads one right: a name and exactly one of the fields that say
// what it gives.
func (r *reader) descriptor(s *Service) error {
	d := Descriptor{line: r.line()}
	chosen := 0
	object := func(kind Kind, want string, good func(string) bool) func() error {
		return func() error {
			chosen++
			d.Kind = kind
			return r.text(&d.Object, maxText, want, good)
		}
	}
	err := r.object(map[string]func() error{
		"name": func() error {
			d.line = r.line()
			return r.text(&d.Name, maxName, "a name of a-z, 0-9, . and -", svc.ValidName)
		},
		"window": object(Window, "the name of a device-tree node", isNode),
		"irq":    object(IRQ, "the name of a device-tree node", isNode),
		"dma": func() error {
			chosen++
			d.Kind = DMA
			return r.integer(&d.Size, PageSize, MaxMemory)
		},
		"serve":   object(Serve, "the name of a channel", isObjectName),
		"connect": object(Connect, "the name of a channel", isObjectName),
		"sockets": object(Sockets, "the name of a socket namespace", isObjectName),
	})
	switch {
	case err != nil:
		return err
	case d.Name == "":
		return r.errorf("has no name")
	case d.Name == svc.NotifyName:
		return r.errorf("%s is given to every service by itself", svc.NotifyName)
	case chosen != 1:
		return r.errorf("%s: want exactly one of %s", d.Name, strings.Join(kinds[:], ", "))
	case d.Size%PageSize != 0:
		return r.errorf("%s: %d bytes are not a multiple of %d", d.Name, d.Size, PageSize)
	}
	s.Descriptors = append(s.Descriptors, d)
	return nil
}

func isSetting(text string) bool { return text == "net" }

// isProgram accepts a path that means itself.
func isProgram(text string) bool {
	return isPlain(text) && path.IsAbs(text) && path.Clean(text) == text
}

// isPlain accepts text that the console can show and an exec can pass.
func isPlain(text string) bool { return svc.Printable(text) == text }

// isServiceName refuses the names that speak for the system on the console.
func isServiceName(text string) bool {
	return isObjectName(text) && text != "nexus-init" && text != "neuron"
}

// isObjectName accepts [a-z0-9-]+.
func isObjectName(text string) bool { return svc.ValidName(text) && !strings.Contains(text, ".") }

// isNode accepts the name of a device-tree node (Devicetree Specification 0.4,
// 2.2.1: 1 to 31 characters, '@' and the unit address).
func isNode(text string) bool {
	name, unit, found := strings.Cut(text, "@")
	return nodeChars(name) && len(name) <= 31 && (!found || nodeChars(unit))
}

func nodeChars(text string) bool {
	for _, c := range []byte(text) {
		ok := 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' ||
			c == ',' || c == '.' || c == '_' || c == '+' || c == '-'
		if !ok {
			return false
		}
	}
	return text != "" && text != "." && text != ".."
}
