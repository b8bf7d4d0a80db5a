package cli

import (
	"fmt"
	"io"
	"strings"
	"text/tabwriter"

	"nexus/tools/nx/internal/boot"
	"nexus/tools/nx/internal/series"
)

// Who serves DHCP in a row, and how the table calls it.
const (
	serverNone    = "none"
	serverGuest   = "guest"
	serverNx      = "nx"
	serverQEMU    = "QEMU"
	serverDnsmasq = "dnsmasq"
)

// rowSame is the row of two boots compared.
const rowSame = "same"

// What became of a row.
const (
	verdictProven   = "proven"
	verdictUnproven = "NOT proven"
	verdictSame     = "the same twice"
	verdictDiffer   = "NOT the same"
	verdictFailed   = "could not be run"
	verdictCannot   = "not on this machine"
)

// row is one line of the table: a boot, or two compared.
type row struct {
	Name     string `json:"name"`
	NIC      string `json:"nic"`
	Net      string `json:"net"`
	Server   string `json:"dhcp_server"`
	Verdict  string `json:"verdict"`
	Why      string `json:"why,omitempty"`
	Markers  int    `json:"markers"`
	Expected int    `json:"markers_expected"`
	Evident  int    `json:"with_evidence"`
	Selftest int64  `json:"last_selftest_ms"` // from the exec of QEMU to the last selftest line
	Frames   int    `json:"frames"`

	server string // who serves DHCP, without a version
}

// allRows is the whole proof.
func allRows() []row {
	var rows []row
	for _, nic := range []string{boot.NICWire, boot.NICTap, boot.NICUser} {
		lease := serverNx
		if nic == boot.NICUser {
			lease = serverQEMU
		}
		rows = append(rows,
			row{NIC: nic, Net: boot.NetStub, server: serverGuest},
			row{NIC: nic, Net: boot.NetStatic, server: serverNone},
			row{NIC: nic, Net: boot.NetDHCP, server: lease})
		if nic == boot.NICTap {
			rows = append(rows, row{NIC: nic, Net: boot.NetDHCP, server: serverDnsmasq})
		}
	}
	for i := range rows {
		rows[i].Name = rows[i].NIC + "/" + rows[i].Net
		if rows[i].server == serverDnsmasq {
			rows[i].Name += "/" + serverDnsmasq
		}
	}
	return append(rows, row{Name: rowSame, NIC: boot.NICWire, Net: boot.NetStub, server: serverGuest})
}

func rowNames() []string {
	var names []string
	for _, r := range allRows() {
		names = append(names, r.Name)
	}
	return names
}

// chooseRows are the rows that one of only names, in order; all without any.
func chooseRows(only []string) ([]row, error) {
	all := allRows()
	if len(only) == 0 {
		return all, nil
	}
	chosen := make([]bool, len(all))
	for _, name := range only {
		found := false
		for i := range all {
			if all[i].Name == name || strings.HasPrefix(all[i].Name, name+"/") {
				found, chosen[i] = true, true
			}
		}
		if !found {
			return nil, fmt.Errorf("--only %q is no row, nor the beginning of one; rows are %s", name, strings.Join(rowNames(), ", "))
		}
	}
	var rows []row
	for i := range all {
		if chosen[i] {
			rows = append(rows, all[i])
		}
	}
	return rows, nil
}

// take takes the figures of a boot.
func (r *row) take(report *boot.Report) {
	v := &report.Verdict
	r.Markers, r.Expected, r.Evident = len(v.Markers), len(v.Markers)+len(v.Missing), v.Evident
	r.Selftest, r.Frames = milliseconds(series.SelftestDone(report)), report.Frames
	r.Verdict = verdictProven
	if !v.Proven {
		r.Verdict = verdictUnproven
		r.Why = strings.Join(v.Failures, "; ")
	}
}

func (r *row) holds() bool { return r.Verdict == verdictProven || r.Verdict == verdictSame }

// outcome is a row's verdict with its reason or its time.
func (r *row) outcome() string {
	if r.holds() {
		return fmt.Sprintf("%s, %d ms", r.Verdict, r.Selftest)
	}
	return r.Verdict + ": " + r.Why
}

// printTable prints the rows, the reasons of those that do not hold, and a last line for all.
func printTable(out io.Writer, rows []row, held, cannot int) error {
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	text := "back end\taddress\tDHCP server\tverdict\tmarkers\tevidence\tlast selftest\tframes\n"
	for i := range rows {
		r := &rows[i]
		figures := "-\t-\t-\t-"
		if r.Expected > 0 {
			figures = fmt.Sprintf("%d/%d\t%d\t%d ms\t%d", r.Markers, r.Expected, r.Evident, r.Selftest, r.Frames)
		}
		text += fmt.Sprintf("%s\t%s\t%s\t%s\t%s\n", r.NIC, r.Net, r.Server, r.Verdict, figures)
	}
	if _, err := io.WriteString(w, text); err != nil {
		return err
	}
	if err := w.Flush(); err != nil {
		return err
	}
	show := newConsole(out, false)
	for i := range rows {
		if !rows[i].holds() {
			show.printf("nexus: %s: %s\n", rows[i].Name, rows[i].outcome())
		}
	}
	switch {
	case held == len(rows):
		show.printf("nexus: bring-up v1.2 holds: %d of %d rows\n", held, len(rows))
	case held+cannot == len(rows):
		show.printf("nexus: bring-up v1.2 is not shown here: %d of %d rows hold, %d cannot be done on this machine; --only leaves them out\n", held, len(rows), cannot)
	default:
		show.printf("nexus: bring-up v1.2 does NOT hold: %d of %d rows do\n", held, len(rows))
	}
	return nil
}
