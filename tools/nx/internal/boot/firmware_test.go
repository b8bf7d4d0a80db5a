package boot

import "testing"

// The firmware's version is taken from the firmware only.
func TestNoteFirmware(t *testing.T) {
	for name, tc := range map[string]struct {
		lines []string
		want  string
	}{
		"as Debian has it":     {[]string{"", "OpenSBI v1.1", "   ____"}, "v1.1"},
		"the first counts":     {[]string{"OpenSBI v1.1", "OpenSBI v9"}, "v1.1"},
		"after the kernel":     {[]string{"neuron: hart 0", "OpenSBI v9"}, ""},
		"not its line":         {[]string{"this is OpenSBI v1", "OpenSBI", "OpenSBI v1\x1b[2J"}, ""},
		"longer than it is":    {[]string{"OpenSBI v" + string(make([]byte, 100))}, ""},
		"a version of its own": {[]string{"OpenSBI v1.3-12-g0123456"}, "v1.3-12-g0123456"},
	} {
		r := new(run)
		for _, l := range tc.lines {
			r.noteFirmware(Line{Text: l})
		}
		if r.report.OpenSBI != tc.want {
			t.Errorf("%s: got %q, want %q", name, r.report.OpenSBI, tc.want)
		}
	}
}
