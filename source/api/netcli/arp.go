package netcli

import (
	"context"
	"flag"
	"net/netip"

	"nexus/source/api/netapi"
)

// neighbour is an entry of the ARP table in JSON.
type neighbour struct {
	IP        string `json:"ip"`
	MAC       string `json:"mac"` // "" while unresolved
	Interface string `json:"interface"`
	State     string `json:"state"`
}

func arpCommand() Command {
	c := Command{
		Name:    "arp",
		Short:   "Show the ARP table",
		Long:    `Show the neighbours whose hardware addresses the guest knows or asks for, and how sure it is.`,
		Example: "nx net arp",
	}
	c.Prepare = func(*flag.FlagSet) Runner {
		return func(ctx context.Context, env *Env, args []string) error {
			if err := arguments(args, 0, 0, c); err != nil {
				return err
			}
			all := []neighbour{}
			err := env.ask(ctx, Netstackd, func(client *netapi.Client) error {
				list, err := client.ARP()
				for _, n := range list {
					all = append(all, neighbour{addressText(n.IP), macText(n.MAC), n.Interface, n.State})
				}
				return err
			})
			switch {
			case err != nil:
				return err
			case env.JSON:
				return env.document(map[string]any{"neighbours": all})
			}
			rows := [][]string{{"ADDRESS", "MAC", "INTERFACE", "STATE"}}
			for _, n := range all {
				rows = append(rows, []string{orDash(n.IP), orDash(n.MAC), n.Interface, n.State})
			}
			env.table(rows)
			return nil
		}
	}
	return c
}

func addressText(a netip.Addr) string {
	if !a.IsValid() {
		return ""
	}
	return a.String()
}

func orDash(s string) string {
	if s == "" {
		return "-"
	}
	return s
}
