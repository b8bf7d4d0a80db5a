package user_test

import (
	"bytes"
	"testing"

	"nexus/source/kernel/neuron/internal/abi"
	"nexus/source/kernel/neuron/internal/user"
	"nexus/source/kernel/neuron/internal/user/usertest"
)

// TestListsLikeLinux: what lib/iov_iter.c says of lists of vectors: the number is bounded by UIO_MAXIOV, the sum by MAX_RW_COUNT, a length that
// is negative as an ssize_t is refused wherever it stands, and entries are looked at in order.
func TestListsLikeLinux(t *testing.T) {
	const most = 1<<63 - 1
	long := func(n int, last uint64) [][2]uint64 {
		parts := make([][2]uint64, n)
		for i := range parts {
			parts[i] = [2]uint64{usertest.Base, 1}
		}
		parts[n-1][1] = last
		return parts
	}
	for _, tt := range []struct {
		name  string
		parts [][2]uint64
		more  uint64 // entries that are not there
		want  abi.Errno
		bytes int
	}{
		{"nothing", nil, 0, abi.OK, 0},
		{"a part of nothing", long(1, 0), 0, abi.OK, 0},
		{"the longest", long(1, most), 0, abi.OK, user.MaxTransfer},
		{"the longest, often", [][2]uint64{{1, most}, {2, most}, {3, most}}, 0, abi.OK, user.MaxTransfer},
		{"the most", long(1, user.MaxTransfer), 0, abi.OK, user.MaxTransfer},
		{"one less", long(1, user.MaxTransfer-1), 0, abi.OK, user.MaxTransfer - 1},
		{"one more", long(2, user.MaxTransfer), 0, abi.OK, user.MaxTransfer},
		{"negative", long(1, most+1), 0, abi.EINVAL, 0},
		{"-1", long(1, 1<<64-1), 0, abi.EINVAL, 0},
		{"the 16th is negative", long(16, most+1), 0, abi.EINVAL, 0},
		{"the 17th is negative", long(17, most+1), 0, abi.EINVAL, 0},
		{"the last is negative", long(user.MaxVectors, most+1), 0, abi.EINVAL, 0},
		{"as many as may be", long(user.MaxVectors, 1), 0, abi.OK, user.MaxVectors},
		{"negative before the end of memory", long(3, most+1), 1, abi.EINVAL, 0},
		{"the end of memory after 3", long(3, 1), 1, abi.EFAULT, 0},
		{"the end of memory after 16", long(16, 1), 1, abi.EFAULT, 0},
		{"the end of memory after 17", long(17, 1), 1, abi.EFAULT, 0},
		{"too many, not all there", long(1, most+1), user.MaxVectors, abi.EINVAL, 0},
	} {
		m := make(usertest.Memory, 16*len(tt.parts))
		b, err := user.Vectors(m, layout(m, 0, tt.parts), uint64(len(tt.parts))+tt.more)
		if err != tt.want || b.Len() != tt.bytes {
			t.Errorf("%s: %d, %d bytes; want %d, %d", tt.name, err, b.Len(), tt.want, tt.bytes)
		}
	}
	if b := user.Range(nil, 0, user.MaxTransfer+1); b.Len() != user.MaxTransfer {
		t.Errorf("a range of %d bytes, want %d", b.Len(), user.MaxTransfer)
	}
}

// TestLimits: a limit hides what is behind it, and taking it back shows it again; whoever skips stops there.
func TestLimits(t *testing.T) {
	m := make(usertest.Memory, 200)
	copy(m, "0123456789abcdef")
	at := layout(m, 64, [][2]uint64{{usertest.Base, 3}, {usertest.Base + 3, 0}, {usertest.Base + 3, 7}, {usertest.Base + 10, 6}})
	b, _ := user.Vectors(m, at, 4)
	if off := b.Limit(20); off != 0 || b.Len() != 16 {
		t.Errorf("a limit beyond the end took off %d of %d", off, b.Len())
	}
	off := b.Limit(5)
	p := make([]byte, 16)
	if n, ok := b.Get(p); n != 5 || !ok || string(p[:n]) != "01234" || off != 11 {
		t.Errorf("got %q, %v, with a limit that took off %d", p[:n], ok, off)
	}
	if n, ok := b.Put([]byte("x")); n != 0 || !ok {
		t.Errorf("put %d behind the limit, %v", n, ok)
	}
	b.Extend(off)
	b.Skip(1)
	if n := b.Len(); n != 10 {
		t.Errorf("%d left after a skip, want 10", n)
	}
	off = b.Limit(2)
	b.Skip(5)
	b.Extend(off)
	if n, ok := b.Get(p); n != 8 || !ok || string(p[:n]) != "89abcdef" {
		t.Errorf("got %q, %v, after a skip to the limit", p[:n], ok)
	}
	if b.Skip(3); b.Len() != 0 {
		t.Errorf("%d left behind the end", b.Len())
	}
	if string(m[:16]) != "0123456789abcdef" {
		t.Errorf("memory holds %q", m[:16])
	}
}

// TestListThatGoes: a list that cannot be read any more ends a copy where it is; what was copied before counts.
func TestListThatGoes(t *testing.T) {
	m := make(usertest.Memory, 200)
	copy(m, "0123456789")
	at := layout(m, 168, [][2]uint64{{usertest.Base, 4}, {usertest.Base + 4, 4}})
	b, _ := user.Vectors(m, at, 2)
	gone, _ := user.Vectors(&vanishing{m, m[:184], 1}, at, 2)
	p := make([]byte, 8)
	if n, ok := gone.Get(p); n != 4 || ok || !bytes.Equal(p[:4], m[:4]) {
		t.Errorf("got %d, %v, %q; want 4 and a fault", n, ok, p[:n])
	}
	if n, ok := gone.Put(p); n != 0 || ok || gone.Current() != 0 {
		t.Errorf("put %d, %v behind the fault, %d bytes in the range", n, ok, gone.Current())
	}
	if n, ok := b.Get(p); n != 8 || !ok {
		t.Errorf("got %d, %v of the whole list", n, ok)
	}
}

// vanishing is memory of which only less is there after so many loads.
type vanishing struct {
	usertest.Memory
	less  usertest.Memory
	loads int
}

func (v *vanishing) Load(p []byte, va uint64) int {
	if v.loads--; v.loads < 0 {
		return v.less.Load(p, va)
	}
	return v.Memory.Load(p, va)
}

// TestNothingBehindTheList: what lies behind a list is no part of it, though the program shortens its ranges while a call goes on.
func TestNothingBehindTheList(t *testing.T) {
	for _, count := range []int{2, 64, 65, 100} {
		m := make(usertest.Memory, 16*(count+5)+64)
		parts := make([][2]uint64, count+5)
		for i := range parts {
			parts[i] = [2]uint64{usertest.Base, 4}
		}
		at := layout(m, 64, parts)
		b, _ := user.Vectors(m, at, uint64(count))
		n := 0
		for _, _, ok := b.Ahead(); ok; _, _, ok = b.Ahead() {
			n++
		}
		if n != 0 && n != count {
			t.Errorf("%d vectors: looks at %d", count, n)
		}
		for i := range count {
			parts[i][1] = 0
		}
		layout(m, 64, parts)
		if n, ok := b.Get(make([]byte, 8)); n != 0 || ok {
			t.Errorf("%d vectors that became empty: got %d bytes, %v", count, n, ok)
		}
	}
}
