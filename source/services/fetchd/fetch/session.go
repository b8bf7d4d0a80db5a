package fetch

import (
	"syscall"

	"nexus/source/api/fetchapi"
	"nexus/source/api/refusal"
)

// ErrNoBody says that nothing is being fetched.
var ErrNoBody = refusal.New(syscall.ENODATA, "no body at hand: ask for a URL first")

// Session is what one client of fetchd fetches, one body at a time. It
// implements fetchapi.Fetches. The zero value with a Fetcher is ready.
type Session struct {
	Fetcher *Fetcher

	body *Body
	buf  []byte
}

// Begin implements fetchapi.Fetches.
func (s *Session) Begin(ask fetchapi.Ask) (fetchapi.Piece, error) {
	s.Close()
	body, err := s.Fetcher.Open(ask)
	if err != nil {
		return fetchapi.Piece{}, err
	}
	s.body = body
	return s.More()
}

// More implements fetchapi.Fetches. The piece's body is valid until the next call.
func (s *Session) More() (fetchapi.Piece, error) {
	if s.body == nil {
		return fetchapi.Piece{}, ErrNoBody
	}
	if s.buf == nil {
		s.buf = make([]byte, fetchapi.MaxPiece)
	}
	n, last, err := s.body.Next(s.buf)
	piece := fetchapi.Piece{Status: s.body.Status, Body: s.buf[:n], Last: last}
	if err != nil || last {
		s.Close()
	}
	if err != nil {
		return fetchapi.Piece{}, err
	}
	return piece, nil
}

// Close drops the body at hand.
func (s *Session) Close() {
	if s.body != nil {
		s.body.Close()
		s.body = nil
	}
}
