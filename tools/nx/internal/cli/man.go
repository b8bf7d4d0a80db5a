package cli

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"runtime/debug"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/cobra/doc"
)

const manSection = "1"

func newMan() *cobra.Command {
	return &cobra.Command{
		Use:   "man DIR",
		Short: "Write the manual pages of every command into a folder",
		Long: `Write a manual page of nx and of each of its commands into the folder DIR, which is made if need be. The same nx
writes the same bytes: the pages have the date of the revision that nx was built from, or none.

Exit status:
  0  done
  2  the folder cannot be written to, or wrong usage`,
		Example: "  nx man build/man\n  man -l build/man/nx-net-ping.1",
		Args:    exactly(1),
		RunE: func(_ *cobra.Command, args []string) error {
			info, _ := debug.ReadBuildInfo() // nil is a build without
			date, err := time.Parse(time.RFC3339, versionOf(info).Time)
			if err != nil {
				date = time.Time{}
			}
			if err := os.MkdirAll(args[0], 0o755); err != nil {
				return fmt.Errorf("manual pages: %w; name a folder that can be written to", err)
			}
			// The commands once more, without the environment's defaults.
			if err := os.Unsetenv(qemuVariable); err != nil {
				return err
			}
			root := newRoot(streams{})
			root.InitDefaultCompletionCmd()
			if err := writeManuals(root, date, args[0]); err != nil {
				return fmt.Errorf("manual pages: %w; name a folder that can be written to", err)
			}
			return nil
		},
	}
}

// writeManuals writes the pages of cmd and all commands below it.
func writeManuals(cmd *cobra.Command, date time.Time, dir string) error {
	for _, sub := range cmd.Commands() {
		if !hasManual(sub) {
			continue
		}
		if err := writeManuals(sub, date, dir); err != nil {
			return err
		}
	}
	page, err := manual(cmd, date)
	if err != nil {
		return err
	}
	name := strings.ReplaceAll(cmd.CommandPath(), " ", "-") + "." + manSection
	return os.WriteFile(filepath.Join(dir, name), page, 0o644)
}

func hasManual(cmd *cobra.Command) bool {
	return cmd.IsAvailableCommand() && !cmd.IsAdditionalHelpTopicCommand() && cmd.Name() != "help"
}

// exitSection is where a help text tells the exit statuses.
var exitSection = regexp.MustCompile(`(?s)\n*Exit status[^\n:]*:\n(.*?)(?:\n\n|\z)`)

// manual makes the page of one command. The zero date is none.
func manual(cmd *cobra.Command, date time.Time) ([]byte, error) {
	statuses := rootHelp
	if exitSection.MatchString(cmd.Long) {
		statuses = cmd.Long
	}
	long := cmd.Long
	defer func() { cmd.Long = long }()
	cmd.Long = strings.TrimSpace(exitSection.ReplaceAllString(long, "\n\n"))

	header := &doc.GenManHeader{
		Title: strings.ToUpper(strings.ReplaceAll(cmd.CommandPath(), " ", "-")), Section: manSection, Date: &date,
		Source: "Nexus", Manual: "Nexus operator's manual",
	}
	cmd.DisableAutoGenTag = true
	var page bytes.Buffer
	if err := doc.GenMan(cmd, header, &page); err != nil {
		return nil, err
	}
	text := page.String()
	if date.IsZero() {
		text = strings.Replace(text, `"`+date.Format("Jan 2006")+`"`, `""`, 1)
	}
	return []byte(text + exitStatuses(statuses)), nil
}

// exitStatuses is the section of the exit statuses that a help text tells.
func exitStatuses(help string) string {
	var section strings.Builder
	section.WriteString(".SH EXIT STATUS\n")
	for line := range strings.Lines(exitSection.FindStringSubmatch(help)[1]) {
		status, meaning, found := strings.Cut(strings.TrimSpace(line), "  ")
		if !found {
			continue
		}
		fmt.Fprintf(&section, ".TP\n%s\n%s\n", status, strings.TrimSpace(meaning))
	}
	return section.String()
}
