package doctor

// host judges the machine that QEMU runs on.
func host(h Host) []Finding {
	var findings []Finding
	check := func(id string, level Level, err error, good, do string) {
		if err == nil {
			findings = append(findings, Finding{ID: id, Level: OK, Cause: good})
			return
		}
		findings = append(findings, Finding{ID: id, Level: level, Cause: err.Error(), Do: do})
	}
	check("qemu", Fault, h.QEMUError, "QEMU "+h.QEMU, "scripts/setup.sh, or name another QEMU with $NEXUS_QEMU")
	if h.QEMUError == nil {
		check("firmware", Fault, h.Firmware, "OpenSBI is installed", "scripts/setup.sh, or apt-get install opensbi")
	}
	if len(h.Files) == 0 {
		check("build", Fault, nil, "kernel, boot archive and device tree are built", "")
	}
	for _, err := range h.Files {
		check("build", Fault, err, "", "make build")
	}
	const tap = "run as root, or get access to /dev/net/tun and permission for user namespaces; without it --nic wire does"
	check("tap", Warning, h.TAP, "a TAP can be made", tap)
	if h.TAP != nil {
		// Where a TAP can be made, so can a namespace.
		check("namespaces", Warning, h.Namespaces, "private network namespaces can be made",
			"run as root, or permit user namespaces (kernel.unprivileged_userns_clone, AppArmor); --nic user needs one, --nic wire none")
	}
	return findings
}
