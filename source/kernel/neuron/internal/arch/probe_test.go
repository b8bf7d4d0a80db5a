package arch

import "testing"

// TestAlarm: the alarm is the hart's own register where it has one, else the firmware's timer.
func TestAlarm(t *testing.T) {
	host, cpu := Host, CPU
	defer func() { Host, CPU = host, cpu }()
	for _, tt := range []struct {
		sstc, claimed bool
		openSBI       uint64
		calls         int
		works         bool
	}{
		{true, true, 0x10006, 0, true},
		{true, false, 0x10006, 0, true},
		{false, false, 0x10006, 1, true},
		{false, true, 0x10006, 1, false},
		{false, true, openSBI11, 1, true},
	} {
		Host.HasStimecmp, Host.OpenSBI, Host.Calls, Host.Alarm = tt.sstc, tt.openSBI, 0, 0
		Probe()
		if why := NoAlarm(tt.claimed); (why == "") != tt.works {
			t.Errorf("%+v: says %q", tt, why)
		}
		WriteAlarm(1234)
		if Host.Alarm != 1234 || Host.Calls != tt.calls {
			t.Errorf("sstc %v: alarm %d by %d calls of the firmware, want 1234 by %d", tt.sstc, Host.Alarm, Host.Calls, tt.calls)
		}
	}
}
