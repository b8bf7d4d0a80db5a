package frameq

import (
	"encoding/binary"
	"testing"
)

func TestFullBellDoesNotBlock(t *testing.T) {
	b := newBell(t)
	var full [8]byte
	binary.LittleEndian.PutUint64(full[:], ^uint64(0)-1)
	if _, err := b.File().Write(full[:]); err != nil {
		t.Fatal(err)
	}
	if err := b.Ring(); err != nil {
		t.Fatalf("ring of a full bell: %v", err)
	}
	if err := b.Wait(); err != nil {
		t.Fatalf("wait: %v", err)
	}
}

func TestManyRingsAreOneWake(t *testing.T) {
	b := newBell(t)
	for range 5 {
		if err := b.Ring(); err != nil {
			t.Fatal(err)
		}
	}
	if err := b.Wait(); err != nil {
		t.Fatal(err)
	}
	if got := testing.AllocsPerRun(100, func() { b.Ring(); b.Wait() }); got != 0 {
		t.Errorf("%v allocations a ring, want 0", got)
	}
}

func TestClosedBellIsAnError(t *testing.T) {
	b, err := NewEventBell()
	if err != nil {
		t.Fatal(err)
	}
	if err := b.Close(); err != nil {
		t.Fatal(err)
	}
	if err := b.Ring(); err == nil {
		t.Error("ring of a closed bell succeeded")
	}
	if err := b.Wait(); err == nil {
		t.Error("wait for a closed bell succeeded")
	}
}
