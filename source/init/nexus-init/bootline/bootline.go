// Package bootline reads the kernel command line: the words that begin with
// "nexus." are ours, all others are somebody else's. The words are those of
// docs/architecture/07-contracts-map.md, "Kernel command line".
package bootline

import (
	"errors"
	"fmt"
	"path"
	"strings"

	"nexus/source/init/nexus-init/netmode"
)

// MaxLine bounds the command line, in bytes.
const MaxLine = 4096

// DefaultManifest is the manifest of a boot that names no other.
const DefaultManifest = "/etc/nexus/manifest.json"

// ErrOption is what every refused command line wraps.
var ErrOption = errors.New("kernel command line")

// Options is what the operator chose.
type Options struct {
	Deterministic bool            // nexus.profile=deterministic
	Net           netmode.Setting // mode "" leaves it to the manifest
	Manifest      string          // absolute path in the boot archive
	Stay          bool            // serve on after the proof
}

// Profile returns the name of the profile that is on.
func (o Options) Profile() string {
	if o.Deterministic {
		return "deterministic"
	}
	return "default"
}

// Parse reads line. An unknown or repeated option and a bad value are errors
// that name the word: a typing error must not silently boot something else.
func Parse(line string) (Options, error) {
	o := Options{Manifest: DefaultManifest}
	if len(line) > MaxLine {
		return o, fmt.Errorf("%w: longer than %d bytes", ErrOption, MaxLine)
	}
	seen := make(map[string]bool)
	for _, word := range strings.Fields(line) {
		if !strings.HasPrefix(word, "nexus.") {
			continue
		}
		key, value, _ := strings.Cut(word, "=")
		if seen[key] {
			return o, fmt.Errorf("%w: %s is there twice", ErrOption, key)
		}
		seen[key] = true
		if err := o.set(key, value); err != nil {
			return o, fmt.Errorf("%w: %q: %w", ErrOption, word, err)
		}
	}
	if err := o.Net.Check(); err != nil {
		return o, fmt.Errorf("%w: nexus.net, nexus.addr, nexus.gw: %w", ErrOption, err)
	}
	return o, nil
}

// set takes one option over.
func (o *Options) set(key, value string) error {
	switch key {
	case "nexus.profile":
		o.Deterministic = value == "deterministic"
		return oneOf(value, "deterministic", "default")
	case "nexus.net":
		o.Net.Mode = value
		return netmode.CheckMode(value)
	case "nexus.addr":
		o.Net.Address = value
		return netmode.CheckAddress(value)
	case "nexus.gw":
		o.Net.Gateway = value
		return netmode.CheckGateway(value)
	case "nexus.manifest":
		if !path.IsAbs(value) || path.Clean(value) != value {
			return errors.New("want an absolute path without . or .., such as " + DefaultManifest)
		}
		o.Manifest = value
	case "nexus.stay":
		o.Stay = value == "1"
		return oneOf(value, "1", "0")
	default:
		return errors.New("unknown; known are nexus.profile, nexus.net, nexus.addr, nexus.gw, nexus.manifest and nexus.stay")
	}
	return nil
}

// oneOf returns an error that lists the words unless value is one of them.
func oneOf(value string, words ...string) error {
	for _, word := range words {
		if value == word {
			return nil
		}
	}
	return errors.New("want " + strings.Join(words, " or "))
}
