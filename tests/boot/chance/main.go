// Chance is an /init that tells what random numbers, what clock and what device tree it finds. It runs on Nexus, in tests/boot.
package main

import (
	"bytes"
	"crypto/ed25519"
	"crypto/rand"
	"fmt"
	"io"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// devices is the device directory of process 1.
const devices = 3

func main() {
	b := make([]byte, 32)
	_, err := unix.Getrandom(b, unix.GRND_INSECURE)
	fmt.Printf("chance: insecure %x %v\n", b, err)
	urandom, err := os.Open("/dev/urandom")
	if err == nil {
		_, err = io.ReadFull(urandom, b)
	}
	fmt.Printf("chance: urandom %x %v\n", b, err)
	_, err = unix.Getrandom(b, unix.GRND_NONBLOCK)
	fmt.Printf("chance: nonblock %v\n", err)
	random, err := unix.Open("/dev/random", unix.O_RDONLY|unix.O_NONBLOCK, 0)
	if err == nil {
		_, err = unix.Read(random, b)
	}
	fmt.Printf("chance: random %v\n", err)
	fmt.Printf("chance: clock %d\n", time.Now().Unix())
	fmt.Printf("chance: tree %s\n", tree())

	key := make(chan ed25519.PublicKey)
	go func() {
		public, _, _ := ed25519.GenerateKey(rand.Reader)
		key <- public
	}()
	select {
	case public := <-key:
		fmt.Printf("chance: key %x\n", public)
	case <-time.After(2 * time.Second):
		fmt.Println("chance: key waits")
	}
}

// tree says whether the device tree that the kernel shows has a seed in it.
func tree() string {
	fd, err := unix.Openat(devices, "fdt", unix.O_RDONLY, 0)
	if err != nil {
		return err.Error()
	}
	blob, err := io.ReadAll(os.NewFile(uintptr(fd), "tree"))
	switch {
	case err != nil:
		return err.Error()
	case len(blob) == 0:
		return "empty"
	}
	seed := bytes.Repeat([]byte{0xa5}, 16) // of which TestSeedIsErased gives more
	return fmt.Sprintf("seed %v", bytes.Contains(blob, seed))
}
