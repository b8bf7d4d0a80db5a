package report

import "strings"

// advices say what a failure means and where to look, by what it has in it.
var advices = []struct{ has, advice, link string }{
	{"has no evidence", "The guest said so, the outside did not see it: compare the packets.", "packets"},
	{"forbidden line", "The console's lines before it, marked with !, say more. The addresses of a neuron: fatal line become names with: go run ./tools/mkkernel symbolize < console.txt", "console"},
	{"is missing", "The boot ended or hung before it: read the console's last lines.", "console"},
	{"its bound is", "The machine was slower than the contract permits: see where the time went.", "timeline"},
	{"appeared twice", "The line is printed again, or by another program: search the console for it.", "console"},
	{"does not belong", "The kernel's command line and the kind of boot disagree.", "machine"},
	{"came before", "What had to be true first was not yet: see the order on the console.", "console"},
	{"came after", "It had to come earlier: see the order on the console.", "console"},
	{"QEMU ended", "See how the machine ended and what QEMU said.", "machine"},
}

// advise explains one failure.
func advise(what string) failure {
	f := failure{What: shown(what)}
	for _, a := range advices {
		// What follows the first quote is the guest's words.
		if head, _, _ := strings.Cut(what, `"`); strings.Contains(head, a.has) {
			f.Advice, f.Link = a.advice, a.link
			break
		}
	}
	return f
}
