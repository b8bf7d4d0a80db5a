package fetch

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"syscall"
	"time"

	"nexus/source/api/fetchapi"
	"nexus/source/api/pkgapi"
	"nexus/source/api/refusal"
)

// Bounds of one fetch. A request may ask for less, not for more.
const (
	MaxBytes   = 64 << 20 // of a body
	MaxTimeout = time.Minute

	maxRedirects = 5
	maxHeader    = 64 << 10 // bytes
	dialBound    = 10 * time.Second
)

// Packages reads package files, as *pkgapi.Client does.
type Packages interface {
	Read(path string, offset uint64, count int, timeout time.Duration) (data []byte, size uint64, err error)
}

// Fetcher fetches URLs. It is safe for concurrent use.
type Fetcher struct {
	client   *http.Client
	packages Packages
}

// What can be wrong with a fetch, beside errors of the network.
var (
	ErrTooLong  = refusal.New(syscall.EFBIG, "the body is longer than the bound: ask for more, or for something smaller")
	ErrTooLate  = refusal.New(syscall.ETIMEDOUT, "the fetch took longer than its bound")
	ErrRedirect = errors.New("redirected too often, or away from http")
)

// New returns a Fetcher that gets package files from packages.
func New(packages Packages) *Fetcher {
	dialer := net.Dialer{Timeout: dialBound}
	return &Fetcher{
		packages: packages,
		client: &http.Client{
			CheckRedirect: checkRedirect,
			Transport: &http.Transport{
				DialContext:            dialer.DialContext,
				DisableKeepAlives:      true, // nothing idle is left behind
				DisableCompression:     true, // the bound is on what arrives
				MaxResponseHeaderBytes: maxHeader,
			},
		},
	}
}

func checkRedirect(req *http.Request, via []*http.Request) error {
	if len(via) > maxRedirects || req.URL.Scheme != "http" {
		return ErrRedirect
	}
	return nil
}

// Body is a body being fetched. It is used by one goroutine; Close must be
// called.
type Body struct {
	Status int // of the http reply; 200 from a package

	reader   io.ReadCloser
	left     uint64 // bytes it may still have
	deadline context.Context
	cancel   context.CancelFunc
}

// Open begins to fetch. The bounds of ask are capped by the package's own; zero
// means those. The time runs until the body has been read.
func (f *Fetcher) Open(ask fetchapi.Ask) (*Body, error) {
	to, err := resolve(ask.URL)
	if err != nil {
		return nil, err
	}
	b := &Body{left: MaxBytes}
	if ask.MaxBytes > 0 {
		b.left = min(ask.MaxBytes, MaxBytes)
	}
	timeout := MaxTimeout
	if ask.Timeout > 0 {
		timeout = min(ask.Timeout, MaxTimeout)
	}
	b.deadline, b.cancel = context.WithTimeout(context.Background(), timeout)
	if to.http != "" {
		err = b.openHTTP(f.client, to.http)
	} else {
		b.Status = http.StatusOK
		b.reader = &packageFile{packages: f.packages, path: to.path, deadline: b.deadline}
	}
	if err != nil {
		err = b.explain(err)
		b.cancel()
		return nil, err
	}
	return b, nil
}

func (b *Body) openHTTP(client *http.Client, url string) error {
	req, err := http.NewRequestWithContext(b.deadline, http.MethodGet, url, nil)
	if err != nil {
		return err
	}
	req.Header.Set("User-Agent", "nexus-fetchd")
	reply, err := client.Do(req)
	if err != nil {
		return err
	}
	if reply.ContentLength > 0 && uint64(reply.ContentLength) > b.left {
		reply.Body.Close()
		return ErrTooLong
	}
	b.Status, b.reader = reply.StatusCode, reply.Body
	return nil
}

// Next fills buf with what follows of the body. last means that nothing does
// after that. A body that ends early is an error, not an end.
func (b *Body) Next(buf []byte) (n int, last bool, err error) {
	for n < len(buf) && err == nil {
		var more int
		more, err = b.reader.Read(buf[n:])
		n += more
	}
	if uint64(n) > b.left {
		return 0, false, ErrTooLong
	}
	b.left -= uint64(n)
	if err != nil && err != io.EOF {
		return 0, false, b.explain(err)
	}
	return n, err == io.EOF, nil
}

// Close ends the fetch.
func (b *Body) Close() {
	b.cancel()
	// What was read of it is all that anybody wanted.
	_ = b.reader.Close()
}

// explain makes of an error one that says to the client what happened.
func (b *Body) explain(err error) error {
	var refused *refusal.Error
	switch {
	case errors.As(err, &refused):
		return err
	case errors.Is(b.deadline.Err(), context.DeadlineExceeded), isTimeout(err):
		return ErrTooLate
	case errors.Is(err, syscall.ECONNREFUSED):
		return fmt.Errorf("%w: does the server run, and at this port?", err)
	case errors.Is(err, syscall.ENETDOWN), errors.Is(err, syscall.EAFNOSUPPORT):
		return fmt.Errorf("%w: is netstackd up, and this program inside its namespace?", err)
	default:
		return err
	}
}

func isTimeout(err error) bool {
	var timeout net.Error
	return errors.As(err, &timeout) && timeout.Timeout()
}

// packageFile reads a package file from its begin to its end.
type packageFile struct {
	packages Packages
	path     string
	deadline context.Context
	offset   uint64
}

// Read implements io.Reader. Reading at the end of the file again is io.EOF.
func (p *packageFile) Read(buf []byte) (int, error) {
	end, _ := p.deadline.Deadline()
	left := time.Until(end)
	if left <= 0 {
		return 0, ErrTooLate
	}
	data, _, err := p.packages.Read(p.path, p.offset, min(len(buf), pkgapi.MaxRead), left)
	if err != nil {
		return 0, err
	}
	if len(data) == 0 {
		return 0, io.EOF
	}
	n := copy(buf, data)
	p.offset += uint64(n)
	return n, nil
}

// Close implements io.Closer.
func (p *packageFile) Close() error { return nil }
