package cli

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/spf13/cobra"
)

var update = flag.Bool("update", false, "rewrite the tables of docs/bringup/nx.md")

const document = "../../../../docs/bringup/nx.md"

// worst are, for each command, lines that an operator should not have typed, in the folder that worstBench makes: the status, and
// all that is said on both outputs. They are the table in the document.
var worst = []struct {
	line   string
	status int
	says   string
}{
	{`nx boots`, 2, `there is no command "boots": is boot meant?`},
	{`nx --version`, 2, `unknown flag: --version: see nx --help`},
	{`nx help boots`, 2, `help: there is no command "boots": see nx --help`},
	{`nx boot now`, 2, `boot: "now" is one word too many: see nx boot --help`},
	{`nx boot --qemu ./dir`, 2, `QEMU cannot be executed: exec: "./dir": is a directory: name another with --qemu or $NEXUS_QEMU, or install one: scripts/setup.sh`},
	{`nx boot --qemu ./text`, 2, `QEMU cannot be executed: exec: "./text": permission denied: name another with --qemu or $NEXUS_QEMU, or install one: scripts/setup.sh`},
	{`nx boot --qemu ./fails`, 2, `./fails --version failed: exit status 3: no such machine: name another with --qemu or $NEXUS_QEMU, or install one: scripts/setup.sh`},
	{`nx boot --qemu ./floods`, 2, `./floods --version failed: it says more than 64 KiB: name another with --qemu or $NEXUS_QEMU, or install one: scripts/setup.sh`},
	{`nx boot --qemu ""`, 2, "\"\" is not installed: install QEMU 7.2 or newer with `apt-get install qemu-system-misc opensbi` (scripts/setup.sh does)"},
	{`nx boot --kernel empty`, 2, "kernel image cannot be read: open empty: the file is empty; run `make build`"},
	{`nx boot --kernel huge`, 2, "kernel image cannot be read: open huge: the file is too large: 21474836480 bytes, at most 536870912 can be; run `make build`"},
	{`nx boot --archive pipe`, 2, "boot archive cannot be read: open pipe: not a regular file; run `make build`"},
	{`nx boot --dtb nowhere`, 2, "device tree cannot be read: open nowhere: no such file or directory; run `make build`"},
	{`nx boot --contract /dev/zero`, 2, `contract: open /dev/zero: not a regular file; Nexus's is tests/contract/markers.json in the repository`},
	{`nx boot --contract list.json`, 2, `list.json: contract: invalid: json: cannot unmarshal array into Go value of type contract.Contract`},
	{`nx boot --pcap dir`, 2, `--pcap: open dir: is a directory: name a file in a folder that can be written to`},
	{`nx boot --record text/boot.json`, 2, `--record: stat text/boot.json: not a directory: name a file in a folder that can be written to`},
	{`nx boot --report nowhere/boot.html`, 2, `--report: create nowhere/boot.html: no such file or directory: name a file in a folder that can be written to`},
	{`nx boot --timeout -1s`, 2, `invalid options: --timeout must be positive`},
	{`nx boot --timeout 1ns`, 2, `invalid options: --timeout 1ns is too short to start a machine: give 100ms or more`},
	{`nx boot --timeout 5`, 2, `boot: invalid argument "5" for "--timeout" flag: want a time with its unit, as 500ms, 30s or 2m`},
	{`nx boot --memory 1e9`, 2, `boot: invalid argument "1e9" for "--memory" flag: want a whole number`},
	{`nx boot --name ../web`, 2, `invalid name of a guest: "../web" is not 1 to 32 of a-z, 0-9 and -`},
	{`nx boot --name web --nic wire`, 2, "the name is in use: web is a running guest, of process 4242; end it with `nx stop web`, or boot with another --name"},
	{`nx boot --nic user --noise`, 2, `invalid options: with --nic user QEMU is the host, which leases always and sends no noise: leave out --no-lease and --noise, or use --nic wire`},
	{`nx boot --nic wire --here`, 2, `--here is for --nic tap and user`},
	{`nx boot --keep`, 2, `--keep is for --detach`},
	{`nx boot --device ""`, 2, `invalid options: --device names no device; give what QEMU's -device takes, with the slot as bus=`},
	{`NEXUS_RUN=text nx boot`, 2, `run directory /home/op/text is not a directory; set $NEXUS_RUN to a folder of your own`},
	{`NEXUS_RUN=nowhere/run nx boot`, 2, `run directory cannot be made: mkdir /home/op/nowhere/run: no such file or directory; set $NEXUS_RUN to a folder of your own`},
	{`nx ps web`, 2, `ps: "web" is one word too many: see nx ps --help`},
	{`nx ps > /dev/full`, 2, `the output could not be written: write /dev/stdout: no space left on device: is the disk full?`},
	{`nx ps --json > /dev/full`, 2, `the output could not be written: write /dev/stdout: no space left on device: is the disk full?`},
	{`NEXUS_RUN=text nx ps`, 2, `run directory /home/op/text is not a directory; set $NEXUS_RUN to a folder of your own`},
	{`NEXUS_RUN=open nx ps`, 2, "run directory /home/op/open is open to others (mode 0755): run `chmod 700 /home/op/open`, or set $NEXUS_RUN"},
	{`NEXUS_RUN=link nx ps`, 2, `run directory /home/op/link is not a directory; set $NEXUS_RUN to a folder of your own`},
	{`nx stop`, 2, "several guests are running: say which, `nx stop NAME...`, or --all: web, db"},
	{`nx stop ""`, 2, `invalid name of a guest: "" is not 1 to 32 of a-z, 0-9 and -`},
	{`nx stop none`, 2, `no such guest: none; there is old, web, db`},
	{`nx stop old`, 2, "the guest has ended: old ended; `nx logs old` shows what it said"},
	{`nx stop --all web`, 2, `--all is every guest: leave out the names`},
	{`nx stop web --timeout -1s`, 2, `--timeout must not be negative`},
	{`nx logs`, 2, "several guests are running: say which, `nx logs NAME`: web, db"},
	{`nx logs web db`, 2, "logs: want `nx logs [flags] [NAME]`, got 2 arguments"},
	{`nx logs ../../etc/passwd`, 2, `invalid name of a guest: "../../etc/passwd" is not 1 to 32 of a-z, 0-9 and -`},
	{`nx logs broken`, 2, `run directory: $NEXUS_RUN/broken: guest.json: unexpected end of JSON input; what is no guest's may be removed`},
	{`nx logs none -f`, 2, `no such guest: none; there is old, web, db`},
	{`nx logs old --color blue`, 2, `--color "blue" is not one of auto, always, never`},
	{`nx logs old > /dev/full`, 2, `the output could not be written: write /dev/stdout: no space left on device: is the disk full?`},
	{`nx prove`, 2, "prove: want `nx prove REPORT`, got 0 arguments"},
	{`nx prove list.json`, 2, `report list.json: not the report of a boot: json: cannot unmarshal array into Go value of type boot.Report; nx boot --record FILE writes one`},
	{`nx prove /dev/zero`, 2, `report: open /dev/zero: not a regular file; nx boot --record FILE writes one`},
	{`nx prove boot.json --pcap text`, 2, `text: capture: not an Ethernet capture: unexpected EOF; nx boot --pcap FILE writes one`},
	{`nx prove boot.json --archive pipe`, 2, "boot archive: open pipe: not a regular file; `make build` makes one"},
	{`nx report boot.json`, 2, `report: --output is missing: name the file to write, e.g. -o boot.html`},
	{`nx report boot.json -o dir`, 2, `report: --output: open dir: is a directory: name a file in a folder that can be written to`},
	{`nx report boot.json -o /dev/full`, 2, `report: write /dev/full: no space left on device: is the disk full?`},
	{`nx report pipe -o boot.html`, 2, `report: open pipe: not a regular file; nx boot --record FILE writes one`},
	{`nx report boot.json --pcap list.json -o boot.html`, 2, `list.json: capture: not an Ethernet capture: unexpected EOF; nx boot --pcap FILE writes one`},
	{`nx soak web`, 2, `soak: "web" is one word too many: flags for nx boot follow --`},
	{`nx soak --boots -3`, 2, `--boots must be at least 1`},
	{`nx soak --boots many`, 2, `soak: invalid argument "many" for "--boots" flag: want a whole number`},
	{`nx soak --nic none`, 2, `soak: --nic "none" is not one of both, tap, wire, user`},
	{`nx soak --keep text`, 2, `soak: --keep: mkdir text: not a directory: name a folder that can be written to`},
	{`nx soak -- --stay`, 2, `soak: after --: --detach and --stay are not for boots whose end is waited for`},
	{`nx same --boots 1`, 2, `--boots must be at least 2: one console is the same as itself`},
	{`nx same --contract dir`, 2, `contract: open dir: is a directory; Nexus's is tests/contract/markers.json in the repository`},
	{`nx same -- --fast`, 2, `same: after --: boot: unknown flag: --fast: see nx boot --help`},
	{`nx same -- now`, 2, `same: after --: "now" is one word too many: nx boot takes flags alone`},
	{`nx postflight wire`, 2, `postflight: "wire" is one word too many: flags for nx boot follow --`},
	{`nx postflight --only wired`, 2, `--only "wired" is no row, nor the beginning of one; rows are wire/stub, wire/static, wire/dhcp, tap/stub, tap/static, tap/dhcp, tap/dhcp/dnsmasq, user/stub, user/static, user/dhcp, same`},
	{`nx postflight -- --detach`, 2, `postflight: after --: --detach and --stay are not for boots whose end is waited for`},
	{`TAP_IF=a/b nx tap`, 2, `tap: an interface's name has 1 to 15 bytes, none of them a slash, a blank, a colon or a percent sign: "a/b"; $TAP_IF names it`},
	{`nx tap --persist --remove`, 2, `invalid use of nx tap: --persist and --remove exclude each other`},
	{`nx tap --persist true`, 2, `invalid use of nx tap: --persist and --remove run no COMMAND and no --echo (nx echo serves beside the TAP)`},
	{`nx tap --owner root`, 2, `invalid use of nx tap: --owner is for --persist`},
	{`nx tap --persist --owner no-such-user`, 2, `invalid use of nx tap: --owner: user: unknown user no-such-user`},
	{`nx echo now`, 2, `echo: "now" is one word too many: see nx echo --help`},
	{`nx echo --address ::1`, 2, `invalid echo service: --address "::1" is no IPv4 address, as 10.0.2.2 is`},
	{`nx echo --udp-port 0`, 2, `invalid echo service: --udp-port and --http-port are from 1 to 65535`},
	{`nx echo --udp-port 99999`, 2, `echo: invalid argument "99999" for "--udp-port" flag: want a whole number from 0 to 65535`},
	{`nx dtb`, 2, "dtb: want `nx dtb SOURCE DESTINATION`, got 0 arguments"},
	{`nx dtb dir x.dtb`, 2, `device tree source cannot be read: open dir: is a directory; Nexus's is pkg/dts/virt-nexus.dts`},
	{`nx dtb pipe x.dtb`, 2, `device tree source cannot be read: open pipe: not a regular file; Nexus's is pkg/dts/virt-nexus.dts`},
	{`nx dtb --dtc ./fails text x.dtb`, 2, `./fails text: exit status 3: no such machine`},
	{`nx dtb --dtc ./floods text x.dtb`, 2, `./floods text: it says more than 64 KiB`},
	{`nx net if`, 2, `several guests are running (web, db): say which with --guest NAME`},
	{`nx net if --guest none`, 2, `no such guest: none; there is old, web, db`},
	{`nx net if --guest old`, 2, "the guest has ended: old ended; `nx logs old` shows what it said"},
	{`nx net doctor`, 2, `several guests are running (web, db): say which with --guest NAME`},
	{`nx man`, 2, "man: want `nx man DIR`, got 0 arguments"},
	{`nx man text`, 2, `manual pages: mkdir text: not a directory; name a folder that can be written to`},
	{`nx man ""`, 2, `manual pages: mkdir : no such file or directory; name a folder that can be written to`},
	{`nx version now`, 2, `version: "now" is one word too many: see nx version --help`},
	{`nx version --kernal x`, 2, `version: unknown flag: --kernal: see nx version --help`},
	{`nx version --json > /dev/full`, 2, `the output could not be written: write /dev/stdout: no space left on device: is the disk full?`},
	{`nx completion`, 2, `completion: a command is missing: want one of: bash, fish, powershell, zsh`},
	{`nx completion csh`, 2, `there is no command "completion csh": want one of: bash, fish, powershell, zsh`},
	{`nx completion bash now`, 2, `bash: "now" is one word too many: see nx completion bash --help`},
	{`nx completion bash > /dev/full`, 2, `the output could not be written: write /dev/stdout: no space left on device: is the disk full?`},
}

// worstBench is a bench whose folder has what the lines name: the guests web and db, which run, and old, which has ended; a QEMU that
// fails, one that floods its output; files of every wrong kind.
func worstBench(t *testing.T) *bench {
	b := newBench(t, "good")
	contract, err := filepath.Abs("../../../../tests/contract/markers.json")
	if err != nil {
		t.Fatal(err)
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	b.script(t, "fails", "echo no such machine >&2; exit 3")
	b.script(t, "floods", "exec cat /dev/zero")
	err = os.Mkdir(b.path("bin"), 0o755)
	b.script(t, "bin/nx", "exec "+self+` "$@"`)
	for _, dir := range []string{"build", "tests/contract", "dir", "open"} {
		err = errors.Join(err, os.MkdirAll(b.path(dir), 0o755))
	}
	for name, text := range map[string]string{"empty": "", "text": "no more than text\n", "list.json": "[]\n", "huge": ""} {
		err = errors.Join(err, os.WriteFile(b.path(name), []byte(text), 0o644))
	}
	for name, to := range map[string]string{
		"link": "dir", defaultContract: contract, defaultKernel: "../kernel", defaultArchive: "../archive", defaultDTB: "../dtb",
	} {
		err = errors.Join(err, os.Symlink(to, b.path(name)))
	}
	err = errors.Join(err, syscall.Mkfifo(b.path("pipe"), 0o644), os.Truncate(b.path("huge"), 20<<30),
		os.Mkdir(filepath.Join(b.run, "broken"), 0o700),
		os.WriteFile(filepath.Join(b.run, "broken", "guest.json"), []byte("{"), 0o600))
	if err != nil {
		t.Fatal(err)
	}
	b.env = append(b.env, "NEXUS_QEMU="+b.path("qemu"), "NEXUS_GUEST=", "TAP_IF=", "PATH="+b.path("bin")+":"+os.Getenv("PATH"))
	if status, out := run(t, b.boot("--nic", "wire", "--name", "old", "--record", b.path("boot.json"))); status != exitDone {
		t.Fatalf("old: status %d:\n%s", status, out)
	}
	for _, name := range []string{"web", "db"} {
		if status, out := b.detach(t, "--name", name, "--timeout", "1h"); status != exitDone {
			t.Fatalf("%s: status %d:\n%s", name, status, out)
		}
	}
	return b
}

// typed runs a line of the shell in the bench's folder, and gives all it says, with what differs from run to run replaced.
func (b *bench) typed(t *testing.T, line string) (status int, out string) {
	t.Helper()
	cmd := exec.Command("/bin/sh", "-c", line)
	cmd.Env, cmd.Dir = b.env, b.dir
	status, out = run(t, cmd)
	out = strings.ReplaceAll(out, b.run, "$NEXUS_RUN")
	return status, strings.ReplaceAll(out, b.dir, "/home/op")
}

func TestWorstInputs(t *testing.T) {
	b := worstBench(t)
	running := fmt.Sprint(b.state(t, "web").PID)
	for _, tt := range worst {
		status, out := b.typed(t, tt.line)
		out = strings.ReplaceAll(out, "of process "+running, "of process 4242")
		if want := "nx: " + tt.says + "\n"; status != tt.status || out != want {
			t.Errorf("%s: status %d, want %d; got\n%swant\n%s", tt.line, status, tt.status, out, want)
		}
	}
	// None of it touched a guest, or left a file.
	if got := b.guests(t, "--all"); got != "old=ended+ web=standing+ db=standing+" && got != "old=ended+ db=standing+ web=standing+" {
		t.Errorf("guests: %s", got)
	}
	for _, name := range []string{"boot.html", "x.dtb", "nowhere"} {
		if _, err := os.Lstat(b.path(name)); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// commandOf is the first command below nx that a line names, or nx.
func commandOf(line string) string {
	words := strings.Fields(line)
	for i, w := range words {
		if w == "nx" && i+1 < len(words) {
			return words[i+1]
		}
	}
	return "nx"
}

func TestWorstInputsOfEveryCommand(t *testing.T) {
	counted := map[string]int{}
	for _, tt := range worst {
		counted[commandOf(tt.line)]++
	}
	for _, cmd := range newRoot(streams{}).Commands() {
		if hasManual(cmd) && counted[cmd.Name()] < 3 {
			t.Errorf("%s: %d bad inputs, want at least three", cmd.Name(), counted[cmd.Name()])
		}
	}
}

// commandTable has a row for each command: its synopsis, what it is for, its exit statuses.
func commandTable() string {
	var table strings.Builder
	table.WriteString("| command | what for | exit status |\n| --- | --- | --- |\n")
	for _, cmd := range newRoot(streams{}).Commands() {
		if !hasManual(cmd) {
			continue
		}
		help := rootHelp
		if exitSection.MatchString(cmd.Long) {
			help = cmd.Long
		}
		var statuses []string
		for _, line := range strings.Split(exitSection.FindStringSubmatch(help)[1], "\n") {
			status, meaning, found := strings.Cut(strings.TrimSpace(line), "  ")
			if found {
				statuses = append(statuses, status+" "+strings.TrimSpace(meaning))
			}
		}
		fmt.Fprintf(&table, "| `%s` | %s | %s |\n", cell(synopsis(cmd)), cell(cmd.Short), cell(strings.Join(statuses, "; ")))
	}
	return table.String()
}

func synopsis(cmd *cobra.Command) string {
	use := cmd.Use
	if cmd.HasAvailableSubCommands() && !strings.Contains(use, " ") {
		use += " COMMAND"
	}
	return "nx " + use
}

// cell is text in a table's cell.
func cell(text string) string { return strings.ReplaceAll(text, "|", `\|`) }

// The tables in the document are those of the commands and of the worst inputs.
func TestDocumentedCommands(t *testing.T) {
	data, err := os.ReadFile(document)
	if err != nil {
		t.Fatal(err)
	}
	var table strings.Builder
	table.WriteString("| typed | it says | status |\n| --- | --- | --- |\n")
	for _, tt := range worst {
		fmt.Fprintf(&table, "| `%s` | %s | %d |\n", cell(tt.line), cell(tt.says), tt.status)
	}
	text := replaced(t, string(data), "commands", commandTable())
	text = replaced(t, text, "worst", table.String())
	if text == string(data) {
		return
	}
	if !*update {
		t.Fatalf("the tables of %s are not those of the program: go test ./tools/nx/internal/cli -run Documented -update", document)
	}
	if err := os.WriteFile(document, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

// replaced gives text with table between its marks of that name.
func replaced(t *testing.T, text, name, table string) string {
	t.Helper()
	begin, end := "<!-- "+name+":begin -->\n", "<!-- "+name+":end -->"
	before, rest, found := strings.Cut(text, begin)
	_, after, ended := strings.Cut(rest, end)
	if !found || !ended {
		t.Fatalf("%s has no %s … %s", document, begin, end)
	}
	return before + begin + table + end + after
}
