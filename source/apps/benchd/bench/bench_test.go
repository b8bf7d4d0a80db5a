package bench

import (
	stdbytes "bytes"
	"fmt"
	"hash/crc32"
	"io"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"
)

func get(t *testing.T, url string) (*http.Response, []byte) {
	t.Helper()
	r, err := http.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Body.Close()
	body, err := io.ReadAll(r.Body)
	if err != nil {
		t.Fatal(err)
	}
	return r, body
}

func serve(t *testing.T) string {
	t.Helper()
	s := httptest.NewUnstartedServer(nil)
	s.Config = Server()
	s.Start()
	t.Cleanup(s.Close)
	return s.URL
}

// The pattern is the load generator's: its first bytes, and the sum of a period.
func TestPattern(t *testing.T) {
	var b stdbytes.Buffer
	if err := writePattern(&b, 2*blockSize+8); err != nil {
		t.Fatal(err)
	}
	first := []byte{0x63, 0x7a, 0xa0, 0x7e, 0xe1, 0xea, 0xf2, 0x3d}
	if got := b.Bytes()[:8]; !stdbytes.Equal(got, first) {
		t.Errorf("begins %x, want %x", got, first)
	}
	if got := b.Bytes()[2*blockSize:]; !stdbytes.Equal(got, first) {
		t.Errorf("the third period begins %x, want %x", got, first)
	}
	if got := crc32.ChecksumIEEE(block()); got != 0xc90cb56c {
		t.Errorf("sum of a period %#x, want 0xc90cb56c", got)
	}
}

func TestHello(t *testing.T) {
	r, body := get(t, serve(t)+"/hello")
	if r.StatusCode != 200 || string(body) != Hello || r.ContentLength != int64(len(Hello)) {
		t.Errorf("%d %q, length %d", r.StatusCode, body, r.ContentLength)
	}
}

func TestBytes(t *testing.T) {
	url := serve(t)
	for _, n := range []int{0, 1, blockSize - 1, blockSize, blockSize + 1, 1 << 20} {
		r, body := get(t, url+"/bytes?n="+strconv.Itoa(n))
		var want stdbytes.Buffer
		if err := writePattern(&want, int64(n)); err != nil {
			t.Fatal(err)
		}
		if r.StatusCode != 200 || r.ContentLength != int64(n) || len(r.TransferEncoding) != 0 || !stdbytes.Equal(body, want.Bytes()) {
			t.Errorf("n=%d: %d, length %d, %v, %d bytes", n, r.StatusCode, r.ContentLength, r.TransferEncoding, len(body))
		}
	}
	for _, n := range []string{"", "x", "-1", "1e3", "99999999999999999999", strconv.FormatInt(MaxBytes+1, 10)} {
		if r, body := get(t, url+"/bytes?n="+n); r.StatusCode != 400 || !strings.Contains(string(body), "want n=BYTES") {
			t.Errorf("n=%s: %d %q, want 400", n, r.StatusCode, body)
		}
	}
}

func TestFetch(t *testing.T) {
	url := serve(t)
	r, body := get(t, url+"/fetch?url="+url+"/bytes?n=100000")
	var n int64
	var seconds float64
	if _, err := fmt.Sscanf(string(body), "bytes=%d seconds=%g", &n, &seconds); r.StatusCode != 200 || err != nil || n != 100000 || seconds <= 0 {
		t.Errorf("%d %q, %v", r.StatusCode, body, err)
	}
	cut := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Length", "10")
		_, _ = io.WriteString(w, "half")
	}))
	defer cut.Close()
	for _, bad := range []string{"", "nonsense", "http://127.0.0.1:1/", url + "/none", cut.URL} {
		if r, body := get(t, url+"/fetch?url="+bad); r.StatusCode != 502 {
			t.Errorf("url=%s: %d %q, want 502", bad, r.StatusCode, body)
		}
	}
}
