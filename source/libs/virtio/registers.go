package virtio

// Window is a device's register window. Each call is one access of that width at byte off, in
// program order with all others. On the target it is mmio.Window; a test gives a device in
// software (virtio/fake) or QEMU's over qtest.
type Window interface {
	Read8(off int) uint8
	Read16(off int) uint16
	Read32(off int) uint32
	Write32(off int, v uint32)
}

// WindowSize is the least window a transport can use: the registers and 256
// bytes of configuration space.
const WindowSize = regConfig + 0x100

// Registers of the transport, 4.2.2. All are 32 bits wide (4.2.2.2: the driver
// must use 32-bit accesses, except for the configuration space).
const (
	regMagic            = 0x000 // R
	regVersion          = 0x004 // R
	regDeviceID         = 0x008 // R
	regVendorID         = 0x00c // R
	regDeviceFeatures   = 0x010 // R, the half that ...Sel chose
	regDeviceFeatureSel = 0x014 // W
	regDriverFeatures   = 0x020 // W, the half that ...Sel chose
	regDriverFeatureSel = 0x024 // W
	regQueueSel         = 0x030 // W, chooses what the queue registers mean
	regQueueSizeMax     = 0x034 // R
	regQueueSize        = 0x038 // W
	regQueueReady       = 0x044 // RW
	regQueueNotify      = 0x050 // W
	regInterruptStatus  = 0x060 // R
	regInterruptACK     = 0x064 // W
	regStatus           = 0x070 // RW
	regQueueDesc        = 0x080 // W, low half; high half behind it
	regQueueDriver      = 0x090 // W, likewise
	regQueueDevice      = 0x0a0 // W, likewise
	regConfigGeneration = 0x0fc // R
	regConfig           = 0x100 // RW, the device's configuration space
)

const (
	magicValue    = 0x7472_6976 // "virt"
	versionLegacy = 1
	versionModern = 2
)

// DeviceID is the kind of a device, 5.
type DeviceID uint32

// Kinds of devices that have a driver here.
const (
	NoDevice DeviceID = 0 // an empty slot, 4.2.2
	Net      DeviceID = 1
	Console  DeviceID = 3
)

// Status bits, 2.1.
type Status uint32

const (
	StatusAcknowledge Status = 1
	StatusDriver      Status = 2
	StatusDriverOK    Status = 4
	StatusFeaturesOK  Status = 8
	StatusNeedsReset  Status = 64
	StatusFailed      Status = 128
)

// Features is a set of feature bits, 2.2.
type Features uint64

// FeatureVersion1 says that the device follows the standard and not its
// predecessors, 6. Nothing else is spoken here.
const FeatureVersion1 Features = 1 << 32

// Has reports whether all bits of other are in f.
func (f Features) Has(other Features) bool { return f&other == other }

// Interrupt is the content of InterruptStatus, 4.2.2.
type Interrupt uint32

const (
	InterruptUsed   Interrupt = 1 // the device used a buffer
	InterruptConfig Interrupt = 2 // the configuration or the status changed
)
