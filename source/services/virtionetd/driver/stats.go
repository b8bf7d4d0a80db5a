package driver

import "nexus/source/api/netapi"

// stats gives every counter, in a fixed order.
func (d *Driver) stats() []netapi.Counter {
	d.mu.Lock()
	defer d.mu.Unlock()
	e := d.engine
	dev, count, recovery := e.dev.Stats(), &e.count, e.recovery.Stats()
	list := []netapi.Counter{
		{Name: "nic.rx.frames", Value: dev.RxFrames},
		{Name: "nic.tx.frames", Value: dev.TxFrames},
		{Name: "nic.interrupts", Value: count.interrupts},
		{Name: "nic.interrupt.storms", Value: count.storms},
		{Name: "nic.config.changes", Value: dev.ConfigEvents},
		{Name: "nic.rx.drop.short", Value: dev.RxShort},
		{Name: "nic.rx.drop.header", Value: dev.RxBadHeader},
		{Name: "nic.rx.drop.nostack", Value: count.rxNoStack},
		{Name: "nic.rx.drop.stackfull", Value: count.rxLent},
		{Name: "nic.rx.drop.refused", Value: count.rxRefused},
		{Name: "nic.tx.drop.size", Value: count.txRefused},
		{Name: "nic.tx.drop.reset", Value: count.txLost},
		{Name: "nic.rx.used.badid", Value: dev.Rx.BadID},
		{Name: "nic.rx.used.notinflight", Value: dev.Rx.NotInFlight},
		{Name: "nic.rx.used.badlength", Value: dev.Rx.BadLength},
		{Name: "nic.rx.used.jump", Value: dev.Rx.IndexJumps},
		{Name: "nic.tx.used.badid", Value: dev.Tx.BadID},
		{Name: "nic.tx.used.notinflight", Value: dev.Tx.NotInFlight},
		{Name: "nic.tx.used.badlength", Value: dev.Tx.BadLength},
		{Name: "nic.tx.used.jump", Value: dev.Tx.IndexJumps},
		{Name: "nic.broken", Value: dev.Rx.Broken + dev.Tx.Broken},
		{Name: "nic.silent", Value: recovery.Stuck},
		{Name: "nic.needs.reset", Value: count.asked},
		{Name: "nic.config.unread", Value: count.configLost},
		{Name: "nic.resets", Value: dev.Resets},
		{Name: "nic.resets.failed", Value: recovery.Failed},
	}
	if e.queue == nil {
		return list
	}
	queue := e.queue.Stats()
	return append(list,
		netapi.Counter{Name: "queue.rx.frames", Value: queue.RxFrames},
		netapi.Counter{Name: "queue.tx.frames", Value: queue.TxFrames},
		netapi.Counter{Name: "queue.bells", Value: queue.Bells},
		netapi.Counter{Name: "queue.jump", Value: queue.IndexJumps},
		netapi.Counter{Name: "queue.drop.badslot", Value: queue.BadSlot},
		netapi.Counter{Name: "queue.drop.notlent", Value: queue.NotLent},
		netapi.Counter{Name: "queue.drop.badframe", Value: queue.BadFrame},
		netapi.Counter{Name: "queue.full", Value: queue.Full},
		netapi.Counter{Name: "queue.bell.failed", Value: queue.BellFailed},
	)
}
