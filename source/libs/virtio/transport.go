package virtio

import (
	"fmt"

	"nexus/source/libs/virtio/dma"
)

// Transport is one virtio-mmio device. Its life: Probe, Begin, Negotiate,
// SetupQueue for each queue, Start; from any point Begin again, or Stop. One
// goroutine may use it at a time.
type Transport struct {
	window Window
	status Status // the bits this driver has set since the last reset
}

// resetReads bounds the reads of the status register that wait for a reset to
// finish; each takes about a microsecond on a virtual machine.
const resetReads = 1 << 16

// configReads bounds the attempts to read a configuration that keeps changing.
const configReads = 64

// Probe looks for a device of kind want behind w, which has at least WindowSize bytes. It writes
// nothing (4.2.3.1.1). Errors: ErrMagic, ErrLegacy, ErrVersion, ErrNoDevice,
// ErrWrongDevice.
func Probe(w Window, want DeviceID) (*Transport, error) {
	if got := w.Read32(regMagic); got != magicValue {
		return nil, fmt.Errorf("%w (magic %#x, want %#x)", ErrMagic, got, magicValue)
	}
	version := w.Read32(regVersion)
	id := DeviceID(w.Read32(regDeviceID))
	// An empty slot has the version of the transport, but no device to be legacy.
	if id == NoDevice {
		return nil, ErrNoDevice
	}
	switch version {
	case versionModern:
	case versionLegacy:
		return nil, ErrLegacy
	default:
		return nil, fmt.Errorf("%w (found %d)", ErrVersion, version)
	}
	if id != want {
		return nil, fmt.Errorf("%w (found %d, want %d)", ErrWrongDevice, id, want)
	}
	return &Transport{window: w}, nil
}

// Begin resets the device and says that a driver is there, 3.1.1 steps 1 to 3.
// When it returns nil the device has forgotten every queue and touches no memory.
// Error: ErrReset.
func (t *Transport) Begin() error {
	if err := t.Stop(); err != nil {
		return err
	}
	t.addStatus(StatusAcknowledge)
	t.addStatus(StatusDriver)
	return nil
}

// Stop resets the device and waits until it says that it is done: status reads
// 0 (2.4.2; 4.2.3.1). Memory it was given may be reused only after a nil return.
// Error: ErrReset.
func (t *Transport) Stop() error {
	t.status = 0
	t.window.Write32(regStatus, 0)
	for range resetReads {
		if t.window.Read32(regStatus) == 0 {
			return nil
		}
	}
	return ErrReset
}

// Offered reads the features the device offers, 3.1.1 step 4. Between Begin
// and Negotiate the configuration fields they stand for may be read already (2.5.1).
func (t *Transport) Offered() Features {
	t.window.Write32(regDeviceFeatureSel, 0)
	low := t.window.Read32(regDeviceFeatures)
	t.window.Write32(regDeviceFeatureSel, 1)
	high := t.window.Read32(regDeviceFeatures)
	return Features(low) | Features(high)<<32
}

// Negotiate accepts the features of wanted that the device offers, and
// VERSION_1 with them, 3.1.1 steps 4 to 6. It returns what was accepted. A refusal sets the FAILED
// status. Errors: ErrNotModern, ErrFeatures.
func (t *Transport) Negotiate(wanted Features) (Features, error) {
	offered := t.Offered()
	if !offered.Has(FeatureVersion1) { // 6.1: a device must offer it
		t.Fail()
		return 0, fmt.Errorf("%w (offers %#x)", ErrNotModern, uint64(offered))
	}
	accepted := offered & (wanted | FeatureVersion1)
	t.window.Write32(regDriverFeatureSel, 0)
	t.window.Write32(regDriverFeatures, uint32(accepted))
	t.window.Write32(regDriverFeatureSel, 1)
	t.window.Write32(regDriverFeatures, uint32(accepted>>32))
	t.addStatus(StatusFeaturesOK)
	if t.Status()&StatusFeaturesOK == 0 {
		t.Fail()
		return 0, fmt.Errorf("%w (accepted %#x of %#x)", ErrFeatures, uint64(accepted), uint64(offered))
	}
	return accepted, nil
}

// QueueMax gives the most entries the device supports in queue index, 4.2.3.2.
// Error: ErrQueue.
func (t *Transport) QueueMax(index int) (int, error) {
	t.window.Write32(regQueueSel, uint32(index))
	n := t.window.Read32(regQueueSizeMax)
	if n == 0 {
		return 0, fmt.Errorf("%w (queue %d)", ErrQueue, index)
	}
	return int(min(n, maxQueue)), nil
}

// maxQueue is the largest split queue there is, 2.7.
const maxQueue = 1 << 15

// Rings says where the three parts of a split queue lie, and how many entries
// each has (2.7).
type Rings struct {
	Size                     int
	Descriptors, Avail, Used dma.Addr
}

// SetupQueue gives the device the rings of queue index, 4.2.3.2. Errors:
// ErrQueue, ErrQueueInUse, ErrQueueSize, ErrQueueRefuse.
func (t *Transport) SetupQueue(index int, r Rings) error {
	most, err := t.QueueMax(index) // step 3; selects the queue, step 1
	if err != nil {
		return err
	}
	if t.window.Read32(regQueueReady) != 0 { // step 2
		return fmt.Errorf("%w (queue %d)", ErrQueueInUse, index)
	}
	if r.Size <= 0 || r.Size > most || r.Size&(r.Size-1) != 0 {
		return fmt.Errorf("%w (queue %d: %d, device's maximum %d)", ErrQueueSize, index, r.Size, most)
	}
	t.window.Write32(regQueueSize, uint32(r.Size)) // step 5
	t.write64(regQueueDesc, r.Descriptors)         // step 6
	t.write64(regQueueDriver, r.Avail)
	t.write64(regQueueDevice, r.Used)
	t.window.Write32(regQueueReady, 1) // step 7
	if t.window.Read32(regQueueReady) != 1 {
		return fmt.Errorf("%w (queue %d)", ErrQueueRefuse, index)
	}
	return nil
}

// Start sets DRIVER_OK: the device is live, 3.1.1 step 8. Buffers may have been made available
// before, but no notification may have been sent. Error: ErrNotReady when the device does not stay live.
func (t *Transport) Start() error {
	t.addStatus(StatusDriverOK)
	if s := t.Status(); s&(StatusDriverOK|StatusNeedsReset|StatusFailed) != StatusDriverOK {
		return fmt.Errorf("%w (status %#x)", ErrNotReady, uint32(s))
	}
	return nil
}

// Fail tells the device that the driver has given up on it, 2.1.1.
func (t *Transport) Fail() { t.addStatus(StatusFailed) }

// Status reads the device's status.
func (t *Transport) Status() Status { return Status(t.window.Read32(regStatus)) }

// Notify tells the device that queue index has new buffers, 4.2.3.3. Only
// after Start (3.1.1).
func (t *Transport) Notify(index int) { t.window.Write32(regQueueNotify, uint32(index)) }

// Interrupt reads why the device interrupts and acknowledges exactly that,
// 4.2.3.4. It gives 0 for an interrupt that was not the device's. Acknowledge first and look at the
// rings then: what the device does meanwhile interrupts again.
func (t *Transport) Interrupt() Interrupt {
	cause := Interrupt(t.window.Read32(regInterruptStatus)) & (InterruptUsed | InterruptConfig)
	if cause != 0 {
		t.window.Write32(regInterruptACK, uint32(cause))
	}
	return cause
}

// Config8 reads byte off of the device's configuration space, 4.2.2.2.
func (t *Transport) Config8(off int) uint8 { return t.window.Read8(regConfig + off) }

// Config16 reads the u16 at off, a multiple of 2, of the configuration space.
func (t *Transport) Config16(off int) uint16 { return t.window.Read16(regConfig + off) }

// Config32 reads the u32 at off, a multiple of 4, of the configuration space.
func (t *Transport) Config32(off int) uint32 { return t.window.Read32(regConfig + off) }

// ReadConfig runs read, which uses Config8, Config16 and Config32, until the device's
// configuration did not change meanwhile, 2.5.1 and 4.2.2. Error: ErrConfig.
func (t *Transport) ReadConfig(read func()) error {
	for range configReads {
		before := t.window.Read32(regConfigGeneration)
		read()
		if t.window.Read32(regConfigGeneration) == before {
			return nil
		}
	}
	return ErrConfig
}

// addStatus sets bits beside those already set; a driver never clears one but
// by reset (2.1.1). It writes its own bits, not what the device claims they are.
func (t *Transport) addStatus(s Status) {
	t.status |= s
	t.window.Write32(regStatus, uint32(t.status))
}

func (t *Transport) write64(reg int, a dma.Addr) {
	t.window.Write32(reg, uint32(a))
	t.window.Write32(reg+4, uint32(a>>32))
}
