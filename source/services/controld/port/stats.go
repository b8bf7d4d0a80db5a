package port

import "nexus/source/api/netapi"

// counts are the port's own counters.
type counts struct {
	interrupts uint64 // passes that the device's interrupt began
	storms     uint64 // times the interrupt was left masked for a while
	asked      uint64 // times the device asked for a reset itself
	read       uint64 // bytes that Read gave
	stalled    uint64 // Writes that did not end in time
}

// Stats gives every counter, in a fixed order.
func (p *Port) Stats() []netapi.Counter {
	p.mu.Lock()
	defer p.mu.Unlock()
	dev, count, recovery := p.dev.Stats(), &p.count, p.recovery.Stats()
	return []netapi.Counter{
		{Name: "port.rx.bytes", Value: dev.RxBytes},
		{Name: "port.rx.read", Value: count.read},
		{Name: "port.tx.bytes", Value: dev.TxBytes},
		{Name: "port.tx.stalled", Value: count.stalled},
		{Name: "port.hosts", Value: dev.Hosts},
		{Name: "port.interrupts", Value: count.interrupts},
		{Name: "port.interrupt.storms", Value: count.storms},
		{Name: "port.config.changes", Value: dev.ConfigEvents},
		{Name: "port.rx.drop.empty", Value: dev.RxEmpty},
		{Name: "port.rx.drop.nohost", Value: dev.RxNoHost},
		{Name: "port.control.messages", Value: dev.Messages},
		{Name: "port.control.drop.short", Value: dev.ControlShort},
		{Name: "port.control.drop.long", Value: dev.ControlLong},
		{Name: "port.control.drop.toolong", Value: dev.ControlTooLong},
		{Name: "port.control.drop.event", Value: dev.ControlEvent},
		{Name: "port.control.drop.port", Value: dev.ControlPort},
		{Name: "port.control.drop.name", Value: dev.ControlName},
		{Name: "port.control.drop.value", Value: dev.ControlValue},
		{Name: "port.control.others", Value: dev.OtherPorts},
		{Name: "port.control.dry", Value: dev.ControlDry},
		{Name: "port.control.used.bad", Value: dev.Control.BadID + dev.Control.NotInFlight + dev.Control.BadLength},
		{Name: "port.control.used.jump", Value: dev.Control.IndexJumps},
		{Name: "port.rx.used.badid", Value: dev.Rx.BadID},
		{Name: "port.rx.used.notinflight", Value: dev.Rx.NotInFlight},
		{Name: "port.rx.used.badlength", Value: dev.Rx.BadLength},
		{Name: "port.rx.used.jump", Value: dev.Rx.IndexJumps},
		{Name: "port.tx.used.badid", Value: dev.Tx.BadID},
		{Name: "port.tx.used.notinflight", Value: dev.Tx.NotInFlight},
		{Name: "port.tx.used.badlength", Value: dev.Tx.BadLength},
		{Name: "port.tx.used.jump", Value: dev.Tx.IndexJumps},
		{Name: "port.broken", Value: dev.Control.Broken + dev.Rx.Broken + dev.Tx.Broken},
		{Name: "port.removed", Value: dev.Removed},
		{Name: "port.unfinished", Value: dev.Unfinished},
		{Name: "port.silent", Value: recovery.Stuck},
		{Name: "port.needs.reset", Value: count.asked},
		{Name: "port.resets", Value: dev.Resets},
		{Name: "port.resets.failed", Value: recovery.Failed},
	}
}
