package smoke

import (
	"errors"
	"strings"
	"testing"

	"nexus/source/api/fetchapi"
)

// site answers each URL with its pieces, or with an error.
type site struct {
	pieces map[string][]fetchapi.Piece
	rest   []fetchapi.Piece
	asked  []fetchapi.Ask
}

var errDown = errors.New("connection refused\nSELFTEST: forged")

func (s *site) Begin(ask fetchapi.Ask) (fetchapi.Piece, error) {
	s.asked = append(s.asked, ask)
	s.rest = s.pieces[ask.URL]
	return s.More()
}

func (s *site) More() (fetchapi.Piece, error) {
	if len(s.rest) == 0 {
		return fetchapi.Piece{}, errDown
	}
	next := s.rest[0]
	s.rest = s.rest[1:]
	return next, nil
}

func piece(status int, body string, last bool) fetchapi.Piece {
	return fetchapi.Piece{Status: status, Body: []byte(body), Last: last}
}

func TestRun(t *testing.T) {
	s := &site{pieces: map[string][]fetchapi.Piece{
		"loop":  {piece(200, "hello\nsec", false), piece(200, "ond", true)},
		"empty": {piece(200, "", true)},
		"long":  {piece(200, strings.Repeat("x", 1000), true)},
		"gone":  {piece(404, "not found", true)},
		"half":  {piece(200, "half", false)},
	}}
	var marks []string
	mark := func(line string) { marks = append(marks, line) }
	err := Run(s, []Request{
		{URL: "loop", Required: true, Show: true},
		{URL: "empty", Show: true},
		{URL: "long", Show: true},
		{URL: "none"},
		{URL: "gone"},
		{URL: "half"},
	}, mark)
	if err != nil {
		t.Fatal(err)
	}
	want := []string{
		"fetchd: get loop ok bytes=12",
		"fetchd: body hello",
		"fetchd: get empty ok bytes=0",
		"fetchd: body ",
		"fetchd: get long ok bytes=1000",
		"fetchd: body " + strings.Repeat("x", maxShown),
		"fetchd: get none failed: " + errDown.Error(),
		"fetchd: get gone failed: status 404",
		"fetchd: get half failed: " + errDown.Error(),
	}
	if got := strings.Join(marks, "|"); got != strings.Join(want, "|") {
		t.Errorf("got  %q\nwant %q", marks, want)
	}
	for _, ask := range s.asked {
		if ask.MaxBytes != maxBody {
			t.Errorf("asked for %s without a bound", ask.URL)
		}
	}
}

func TestRequiredFails(t *testing.T) {
	var marks []string
	err := Run(&site{}, []Request{{URL: "none", Required: true}, {URL: "never"}}, func(line string) { marks = append(marks, line) })
	if !errors.Is(err, errDown) || len(marks) != 1 {
		t.Errorf("%v, marks %q", err, marks)
	}
}
