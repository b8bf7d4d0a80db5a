// Package fetchcapnp is the generated Go form of source/api/fetch.capnp, the API of fetchd.
//
// Only messages are used; the schema has no interfaces and the rpc package is not linked. Package
// source/libs/channel carries the messages.
package fetchcapnp

//go:generate go run nexus/source/api/internal/regenerate fetch
