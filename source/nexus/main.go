// Command nexus is every program of the system in one file: nexus-init when it is started without arguments, else the
// program that its first argument names.
//
// Each of them is a command of its own too, under source/services and source/apps, and runs the same. One file is there
// for the start of the system: programs share the pages of the file that they execute, and an emulator, which translates
// code when it first meets it, then meets the Go runtime once and not once for each program (docs/architecture/06-boot-and-bringup.md
// has the figures). It is no authority: what a process may do is in its descriptors.
package main

import (
	"os"

	benchd "nexus/source/apps/benchd/program"
	nx "nexus/source/apps/nx/program"
	selftest "nexus/source/apps/selftest-client/program"
	nexusinit "nexus/source/init/nexus-init/program"
	"nexus/source/libs/svc"
	controld "nexus/source/services/controld/program"
	echod "nexus/source/services/echod/program"
	fetchd "nexus/source/services/fetchd/program"
	netstackd "nexus/source/services/netstackd/program"
	packagefsd "nexus/source/services/packagefsd/program"
	virtionetd "nexus/source/services/virtionetd/program"
)

func main() {
	if len(os.Args) < 2 {
		nexusinit.Main()
		return
	}
	run := program(os.Args[1])
	if run == nil {
		svc.Mark("nexus: no program " + os.Args[1] + ": the first argument is benchd, controld, echod, fetchd, netstackd, nx, " +
			"packagefsd, selftest-client or virtionetd; nexus-init has none")
		os.Exit(svc.ExitNoRestart)
	}
	os.Args = os.Args[1:]
	run()
}

func program(name string) func() {
	switch name {
	case "benchd":
		return benchd.Main
	case "controld":
		return controld.Main
	case "echod":
		return echod.Main
	case "fetchd":
		return fetchd.Main
	case "netstackd":
		return netstackd.Main
	case "nx":
		return nx.Main
	case "packagefsd":
		return packagefsd.Main
	case "selftest-client":
		return selftest.Main
	case "virtionetd":
		return virtionetd.Main
	}
	return nil
}
