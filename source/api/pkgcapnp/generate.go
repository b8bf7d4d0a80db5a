// Package pkgcapnp is the generated Go form of source/api/pkg.capnp, the API of packagefsd.
//
// Only messages are used; the schema has no interfaces and the rpc package is not linked. Package
// source/libs/channel carries the messages.
package pkgcapnp

//go:generate go run nexus/source/api/internal/regenerate pkg
