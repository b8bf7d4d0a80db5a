package contract

import (
	"bufio"
	"bytes"
	"cmp"
	"io"
	"net/http"
	"slices"

	"nexus/tools/nx/internal/capture"
	"nexus/tools/nx/internal/frame"
)

// maxStream bounds what is put together of one direction of a connection.
const maxStream = 1 << 20

// exchanges counts the connections of the guest to the host's port in which it
// asked for the path and got an answer 200 with a body of size bytes, and gives
// those frames of theirs that opened them or carried data.
func exchanges(want *HTTP, size int, frames []*capture.Frame) (n int, carriers []*capture.Frame) {
	var ports []uint16
	for _, f := range frames {
		if f.Kind == frame.TCPKind && f.SYN && f.FromGuest() && f.DstPort == want.Port && !slices.Contains(ports, f.SrcPort) {
			ports = append(ports, f.SrcPort)
		}
	}
	for _, port := range ports {
		asked, questions := stream(frames, port, want.Port)
		answered, answer := stream(frames, want.Port, port)
		if answers(want, size, asked, answered) {
			n++
			carriers = append(append(carriers, questions...), answer...)
		}
	}
	return n, carriers
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
// SYN on, as far as there is no gap. Segments may come twice, overlap and
// overtake each other. carriers are the SYN and the segments that added to it.
func stream(frames []*capture.Frame, from, to uint16) (data []byte, carriers []*capture.Frame) {
	var segments []*capture.Frame
	var first uint32 // sequence number of the first byte
	opened := false
	for _, f := range frames {
		if f.Kind != frame.TCPKind || f.SrcPort != from || f.DstPort != to {
			continue
		}
		if f.SYN && !opened {
			opened, first = true, f.TCPSeq+1
			carriers = append(carriers, f)
		} else if len(f.Payload) > 0 {
			segments = append(segments, f)
		}
	}
	// Distance from the first byte, not the number itself, which may wrap.
	slices.SortStableFunc(segments, func(a, b *capture.Frame) int { return cmp.Compare(a.TCPSeq-first, b.TCPSeq-first) })

	for _, f := range segments {
		at := int64(f.TCPSeq - first)
		have := int64(len(data))
		if !opened || at > have || have > maxStream {
			break
		}
		if skip := have - at; skip < int64(len(f.Payload)) {
			data = append(data, f.Payload[skip:]...)
			carriers = append(carriers, f)
		}
	}
	return data, carriers
}
