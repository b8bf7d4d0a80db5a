// Package fetch resolves a URL and gives its body in pieces, within a bound of
// bytes and a bound of time. It knows http:// and pkg://.
package fetch

import (
	"net/url"
	"strings"
	"syscall"

	"nexus/source/api/pkgapi"
	"nexus/source/api/refusal"
)

// MaxURL bounds a URL, in bytes.
const MaxURL = 2048

// What is wrong with a URL.
var (
	ErrURL    = refusal.New(syscall.EINVAL, "not a URL: want http://HOST/PATH or pkg://PACKAGE/FILE")
	ErrScheme = refusal.New(syscall.EPROTONOSUPPORT, "this scheme is not known: want http or pkg")
	ErrUser   = refusal.New(syscall.EINVAL, "user names and passwords in a URL are not used")
)

// target is where a URL leads: to a web server or to a package file.
type target struct {
	http string // the URL to get; "" for a package
	path string // of the package file
}

// resolve reads a URL. It asks nobody.
func resolve(text string) (target, error) {
	if len(text) > MaxURL {
		return target{}, ErrURL
	}
	u, err := url.Parse(text)
	if err != nil || u.Opaque != "" {
		return target{}, ErrURL
	}
	switch {
	case u.Scheme == "":
		return target{}, ErrURL
	case u.Scheme != "http" && u.Scheme != "pkg":
		return target{}, ErrScheme
	case u.User != nil:
		return target{}, ErrUser
	case u.Scheme == "http":
		return resolveHTTP(u)
	default:
		return resolvePackage(u)
	}
}

func resolveHTTP(u *url.URL) (target, error) {
	if u.Hostname() == "" {
		return target{}, ErrURL
	}
	u.Fragment, u.RawFragment = "", "" // is the client's own (RFC 3986, 3.5)
	return target{http: u.String()}, nil
}

// resolvePackage makes pkg://PACKAGE/FILE the path PACKAGE/FILE.
func resolvePackage(u *url.URL) (target, error) {
	name, found := strings.CutPrefix(u.Path, "/")
	path := u.Host + "/" + name
	if !found || u.RawQuery != "" || u.ForceQuery || u.Fragment != "" || !pkgapi.ValidPath(path) {
		return target{}, ErrURL
	}
	return target{path: path}, nil
}
