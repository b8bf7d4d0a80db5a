package netclitest

import (
	"syscall"

	"nexus/source/api/fetchapi"
	"nexus/source/api/refusal"
)

// pieceSize is small, so that a short body has several pieces.
const pieceSize = 10

// fetches is fetchd's half of fetch.capnp for one client.
type fetches struct {
	guest *Guest
	rest  string
}

// Begin implements fetchapi.Fetches.
func (f *fetches) Begin(ask fetchapi.Ask) (fetchapi.Piece, error) {
	body, found := f.guest.Bodies[ask.URL]
	if !found {
		return fetchapi.Piece{}, refusal.New(syscall.ECONNREFUSED, "connection refused: does the server run, and at this port?")
	}
	if uint64(len(body)) > ask.MaxBytes {
		return fetchapi.Piece{}, refusal.New(syscall.EFBIG, "the body is longer than the bound: ask for more, or for something smaller")
	}
	f.rest = body
	return f.More()
}

// More implements fetchapi.Fetches.
func (f *fetches) More() (fetchapi.Piece, error) {
	n := min(pieceSize, len(f.rest))
	piece := fetchapi.Piece{Status: 200, Body: []byte(f.rest[:n]), Last: n == len(f.rest)}
	if f.guest.Status != 0 {
		piece.Status = f.guest.Status
	}
	f.rest = f.rest[n:]
	return piece, nil
}
