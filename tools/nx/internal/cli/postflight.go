package cli

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"nexus/tools/nx/internal/boot"
	"nexus/tools/nx/internal/contract"
	"nexus/tools/nx/internal/machine"
	"nexus/tools/nx/internal/series"
	"nexus/tools/nx/internal/tap"
)

// postflight is one run of nx postflight.
type postflight struct {
	json     bool
	only     []string
	contract string
	boots    []string // flags for every nx boot
	streams  streams
	dnsmasq  string            // its path
	missing  map[string]error  // back ends and DHCP servers that cannot be had here
	servers  map[string]string // DHCP servers as the table calls them
}

func newPostflight(s streams) *cobra.Command {
	p := &postflight{streams: s}
	cmd := &cobra.Command{
		Use:   "postflight [flags] [-- BOOT-FLAG...]",
		Short: "Run the whole bring-up proof and print one table",
		Long: `Boot on every back end of the network card (wire, tap, user) in every address
mode (stub, static, dhcp), with dnsmasq on the TAP for the DHCP server too, and twice
counting instructions for determinism. Progress is on standard error, one table at
the end on standard output. What follows -- is given to every nx boot.

The rows are: ` + strings.Join(rowNames(), ", ") + `.
--only takes names or their beginnings up to a slash: --only wire,user/dhcp.

Exit status:
  0  every row holds
  1  a row does not, or this machine cannot do it (the row says why; --only leaves it out)
  2  nothing could be run, or it was interrupted`,
		Example: `  nx postflight --only wire,same`,
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := checkBootFlags(cmd, args); err != nil {
				return err
			}
			p.boots = args
			return p.run(cmd.Context())
		},
	}
	fs := cmd.Flags()
	fs.BoolVar(&p.json, "json", false, "print the table as JSON")
	fs.StringSliceVar(&p.only, "only", nil, "rows to run")
	completeFlag(cmd, "only", rowNames()...)
	fs.StringVar(&p.contract, "contract", "tests/contract/markers.json", "marker contract")
	return cmd
}

// run runs each row in turn and prints the table.
func (p *postflight) run(ctx context.Context) error {
	rows, err := chooseRows(p.only)
	if err != nil {
		return err
	}
	rules, err := contract.Load(p.contract)
	if err != nil {
		return err
	}
	p.boots = append([]string{"--contract", p.contract}, p.boots...)
	p.look(ctx)
	show := newConsole(p.streams.err, false)
	for i := range rows {
		show.printf("nexus: postflight %d/%d %s … ", i+1, len(rows), rows[i].Name)
		p.runRow(ctx, &rows[i], rules)
		if ctx.Err() != nil {
			show.printf("interrupted\nnexus: postflight was interrupted after %d of %d rows\n", i, len(rows))
			return statusError(exitFailed)
		}
		show.printf("%s\n", rows[i].outcome())
	}
	return p.print(rows)
}

// look finds out what this machine cannot do.
func (p *postflight) look(ctx context.Context) {
	p.missing = map[string]error{}
	if err := tap.Usable(); err != nil {
		p.missing[boot.NICTap] = fmt.Errorf("no TAP: %w; run as root or with access to /dev/net/tun", err)
	}
	if err := tap.Permitted(); err != nil {
		p.missing[boot.NICUser] = fmt.Errorf("%w; %s", err, tap.Advice)
	}
	path, version, err := findDnsmasq(ctx)
	if err != nil {
		p.missing[serverDnsmasq] = err
	}
	p.dnsmasq = path
	p.servers = map[string]string{
		serverNone: "-", serverGuest: "in the guest", serverNx: "nx", serverQEMU: "QEMU",
		serverDnsmasq: strings.TrimSpace("dnsmasq " + version),
	}
}

// runRow fills in what became of one row.
func (p *postflight) runRow(ctx context.Context, r *row, rules *contract.Contract) {
	r.Server = p.servers[r.server]
	for _, needs := range []string{r.NIC, r.server} {
		if err := p.missing[needs]; err != nil {
			r.Verdict, r.Why = verdictCannot, err.Error()
			return
		}
	}
	args := append([]string{"--nic", r.NIC, "--net", r.Net}, p.boots...)
	if r.Name == rowSame {
		p.same(ctx, r, args, rules)
		return
	}
	argv := append([]string{"boot", "--json", "--forget"}, args...)
	run := tap.RunHere
	if r.server == serverDnsmasq {
		argv = append([]string{"dnsmasq", "--dnsmasq", p.dnsmasq, "--"}, args...)
		run = tap.Run
	}
	if report, err := p.report(ctx, run, argv); err != nil {
		r.Verdict, r.Why = verdictFailed, err.Error()
	} else {
		r.take(report)
	}
}

// same boots twice counting instructions and compares.
func (p *postflight) same(ctx context.Context, r *row, args []string, rules *contract.Contract) {
	argv := append([]string{"boot", "--json", "--forget", "--profile", machine.Deterministic, "--icount"}, args...)
	var reports []*boot.Report
	for range 2 {
		report, err := p.report(ctx, tap.RunHere, argv)
		if err != nil {
			r.Verdict, r.Why = verdictFailed, err.Error()
			return
		}
		if r.take(report); !report.Verdict.Proven {
			return
		}
		reports = append(reports, report)
	}
	r.Verdict = verdictSame
	if d := series.Compare(reports, rules.MayVary); len(d) > 0 {
		r.Verdict, r.Why = verdictDiffer, d[0].String()
	}
}

// report runs nx with argv and gives its report, or what it said on standard error.
func (p *postflight) report(ctx context.Context, run runner, argv []string) (*boot.Report, error) {
	var said bytes.Buffer
	report, err := childReport(ctx, streams{err: &said}, run, argv)
	if text := strings.TrimSpace(said.String()); err != nil && text != "" {
		return nil, errors.New(strings.TrimPrefix(text, "nx: "))
	}
	return report, err
}

// print prints the table, and ends with the status that it means.
func (p *postflight) print(rows []row) error {
	held, cannot, ran := 0, 0, 0
	for i := range rows {
		if rows[i].Expected > 0 {
			ran++
		}
		if rows[i].holds() {
			held++
		}
		if rows[i].Verdict == verdictCannot {
			cannot++
		}
	}
	if p.json {
		out := json.NewEncoder(p.streams.out)
		out.SetIndent("", " ")
		if err := out.Encode(struct {
			Proven bool  `json:"proven"`
			Rows   []row `json:"rows"`
		}{held == len(rows), rows}); err != nil {
			return err
		}
	} else if err := printTable(p.streams.out, rows, held, cannot); err != nil {
		return err
	}
	switch {
	case ran == 0:
		return statusError(exitFailed)
	case held < len(rows):
		return statusError(exitUnproven)
	}
	return nil
}

// milliseconds are d's, for a table.
func milliseconds(d time.Duration) int64 { return d.Round(time.Millisecond).Milliseconds() }
