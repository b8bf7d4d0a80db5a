package arch

// MaxVectorBytes bounds a vector register that the kernel saves: 32 of them fill a page. Longer ones stay off.
const MaxVectorBytes = 128

// States of a unit in sstatus.FS and sstatus.VS (privileged specification 1.12, §3.1.6.6). Off is the vector unit's only: its first use
// traps, and with it comes the page to save it in.
const (
	UnitOff = iota
	UnitInitial
	UnitClean
	UnitDirty
)

// Holds reports whether Load has nothing to do for c.
func (h *Hart) Holds(c *Context) bool { return h.Floating == c && h.vectorOn == (h.vector == c) }

// Load puts the floating-point registers of c in force, and the vector registers if h holds them; else the vector unit is
// off. What another context left is saved when its registers are replaced, and only if it is not saved already.
func (h *Hart) Load(c *Context) {
	if h.Floating != c {
		if h.Floating != nil {
			SaveFloat(h.Floating)
		}
		LoadFloat(c)
		h.Floating = c
	}
	if on := h.vector == c; on != h.vectorOn {
		if h.vectorOn {
			h.vectorDirty = h.vectorDirty || vectorUnit() == UnitDirty
			setVectorUnit(UnitOff)
		} else {
			setVectorUnit(UnitClean)
		}
		h.vectorOn = on
	}
}

// SyncFloat brings c's copy of its floating-point registers up to date.
func (h *Hart) SyncFloat(c *Context) {
	if h.Floating == c {
		SaveFloat(c)
	}
}

// HasVector reports whether the vector registers of c are in force.
func (h *Hart) HasVector(c *Context) bool { return h.vectorOn && h.vector == c }

// UseVector puts the vector registers of c, which has a place for them, in force.
func (h *Hart) UseVector(c *Context) {
	if h.vector != nil && h.vector != c {
		h.SyncVector(h.vector)
	}
	setVectorUnit(UnitInitial)
	LoadVector(c)
	setVectorUnit(UnitClean)
	h.vector, h.vectorOn, h.vectorDirty = c, true, false
}

// SyncVector brings c's copy of its vector registers up to date.
func (h *Hart) SyncVector(c *Context) {
	if h.vector != c {
		return
	}
	if h.vectorDirty || h.vectorOn && vectorUnit() == UnitDirty {
		if !h.vectorOn {
			setVectorUnit(UnitClean)
		}
		SaveVector(c)
		setVectorUnit(UnitClean)
		if !h.vectorOn {
			setVectorUnit(UnitOff)
		}
	}
	h.vectorDirty = false
}

// Forget gives up the registers of c that h holds: c has others, or ends. The next use of the vector unit loads them anew.
func (h *Hart) Forget(c *Context) {
	if h.Floating == c {
		h.Floating = nil
	}
	if h.vector == c {
		h.vector, h.vectorDirty = nil, false
	}
}
