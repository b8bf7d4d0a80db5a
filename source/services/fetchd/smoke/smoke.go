// Package smoke is what fetchd proves about itself before anybody may use it: it
// gets a page over loopback and a package file, and tries the host's page.
package smoke

import (
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"

	"nexus/source/api/fetchapi"
)

// maxBody bounds what a smoke request may get, in bytes.
const maxBody = 4 << 10

// maxShown bounds what of a body is printed, in bytes.
const maxShown = 120

// Request is one URL to get.
type Request struct {
	URL      string
	Timeout  time.Duration
	Required bool // the service is of no use without it
	Show     bool // print the first line of the body
}

// ErrStatus is a reply whose status is not 200.
var ErrStatus = errors.New("status")

// Run gets each URL in turn and prints one line for each with mark. It returns
// the error of the first required one that failed.
func Run(session fetchapi.Fetches, requests []Request, mark func(line string)) error {
	for _, r := range requests {
		body, err := get(session, r)
		if err != nil {
			mark("fetchd: get " + r.URL + " failed: " + err.Error())
			if r.Required {
				return fmt.Errorf("get %s: %w", r.URL, err)
			}
			continue
		}
		mark("fetchd: get " + r.URL + " ok bytes=" + strconv.Itoa(len(body)))
		if r.Show {
			mark("fetchd: body " + firstLine(body))
		}
	}
	return nil
}

// get gets all of a body.
func get(session fetchapi.Fetches, r Request) (string, error) {
	piece, err := session.Begin(fetchapi.Ask{URL: r.URL, MaxBytes: maxBody, Timeout: r.Timeout})
	var body []byte
	for err == nil {
		if piece.Status != http.StatusOK {
			return "", fmt.Errorf("%w %d", ErrStatus, piece.Status)
		}
		body = append(body, piece.Body...)
		if piece.Last {
			return string(body), nil
		}
		piece, err = session.More()
	}
	return "", err
}

// firstLine is what of a body fits the console.
func firstLine(body string) string {
	line, _, _ := strings.Cut(body, "\n")
	return line[:min(len(line), maxShown)]
}
