package contract

import (
	"bufio"
	"bytes"
	"io"
	"net/http"
	"slices"

	"nexus/tools/nx/internal/capture"
	"nexus/tools/nx/internal/frame"
)

// maxStream bounds what is put together of one direction of a connection.
const maxStream = 1 << 20

// exchanges counts the connections of the guest to the host's port in which it
// asked for the path and got an answer 200 with a body of size bytes.
func exchanges(want *HTTP, size int, frames []capture.Frame) int {
	var ports []uint16
	for i := range frames {
		f := &frames[i]
		if f.Kind == frame.TCPKind && f.SYN && f.FromGuest() && f.DstPort == want.Port && !slices.Contains(ports, f.SrcPort) {
			ports = append(ports, f.SrcPort)
		}
	}
	n := 0
	for _, port := range ports {
		asked := stream(frames, port, want.Port)
		answered := stream(frames, want.Port, port)
		if answers(want, size, asked, answered) {
			n++
		}
	}
	return n
}

// answers tells whether the first request and response of a connection are
// those wanted.
func answers(want *HTTP, size int, asked, answered []byte) bool {
	request, err := http.ReadRequest(bufio.NewReader(bytes.NewReader(asked)))
	if err != nil || request.Method != http.MethodGet || request.URL.Path != want.Path {
		return false
	}
	response, err := http.ReadResponse(bufio.NewReader(bytes.NewReader(answered)), request)
	if err != nil || response.StatusCode != http.StatusOK {
		return false
	}
	n, err := io.Copy(io.Discard, response.Body)
	return err == nil && n == int64(size)
}

// stream puts together what was sent from one TCP port to another, from the
// SYN on, as far as there is no gap.
func stream(frames []capture.Frame, from, to uint16) []byte {
	var data []byte
	var next uint32 // sequence number of the first byte that is not in data
	known := false
	// A segment may be overtaken by later ones: pass until nothing is added.
	for added := true; added; {
		added = false
		for i := range frames {
			f := &frames[i]
			if f.Kind != frame.TCPKind || f.SrcPort != from || f.DstPort != to {
				continue
			}
			if f.SYN && !known {
				known, next = true, f.TCPSeq+1
			}
			skip := next - f.TCPSeq // of this segment, already in data
			if !known || f.SYN || skip >= uint32(len(f.Payload)) || len(data) > maxStream {
				continue
			}
			fresh := f.Payload[skip:]
			data = append(data, fresh...)
			next += uint32(len(fresh))
			added = true
		}
	}
	return data
}
