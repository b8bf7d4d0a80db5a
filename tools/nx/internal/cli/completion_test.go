package cli

import (
	"fmt"
	"os/exec"
	"slices"
	"strings"
	"testing"
)

// completed is what bash offers for the last word of a line, with nx's script and without the package bash-completion.
func (b *bench) completed(t *testing.T, line string) []string {
	t.Helper()
	words := strings.Fields(line)
	if strings.HasSuffix(line, " ") {
		words = append(words, "")
	}
	var quoted []string
	for _, w := range words {
		quoted = append(quoted, "'"+w+"'")
	}
	script := fmt.Sprintf(`source <(nx completion bash) && complete -p nx >/dev/null || exit
COMP_WORDS=(%s) COMP_CWORD=%d COMP_LINE='%s' COMP_POINT=%d COMP_TYPE=9
__start_nx && printf '%%s\n' "${COMPREPLY[@]}"`, strings.Join(quoted, " "), len(words)-1, line, len(line))
	cmd := exec.Command("bash", "--norc", "--noprofile", "-c", script)
	cmd.Env, cmd.Dir = b.env, b.dir
	var errs strings.Builder
	cmd.Stderr = &errs
	out, err := cmd.Output()
	for l := range strings.Lines(errs.String()) {
		if !strings.Contains(l, "compopt: not currently executing completion function") { // it is called by hand
			t.Errorf("%q: bash says %s", line, l)
		}
	}
	if err != nil {
		t.Errorf("%q: %v", line, err)
	}
	var offered []string
	for _, l := range strings.Split(strings.TrimSpace(string(out)), "\n") {
		if fields := strings.Fields(l); len(fields) > 0 {
			offered = append(offered, fields[0]) // behind it may be what it is for
		}
	}
	slices.Sort(offered)
	return offered
}

func TestCompletionInBash(t *testing.T) {
	b := worstBench(t)
	for _, tt := range []struct{ line, want string }{
		{"nx bo", "boot"},
		{"nx st", "stop"},
		{"nx s", "same soak stop"},
		{"nx stop ", "db web"},
		{"nx stop w", "web"},
		{"nx logs ", "db old web"},
		{"nx logs -f o", "old"},
		{"nx net p", "ping"},
		{"nx net if --guest ", "db web"},
		{"nx net addr ", "lo virt0"},
		{"nx net capture -i ", "any lo virt0"},
		{"nx boot --det", "--detach"},
		{"nx boot --nic ", "auto none tap user wire"},
		{"nx boot --net ", "dhcp static stub"},
		{"nx boot --color a", "always auto"},
		{"nx completion ", "bash fish powershell zsh"},
		{"nx postflight --only sa", "same"},
		{"nx version ", ""},
	} {
		if got := strings.Join(b.completed(t, tt.line), " "); got != tt.want {
			t.Errorf("%q: got %q, want %q", tt.line, got, tt.want)
		}
	}
}
