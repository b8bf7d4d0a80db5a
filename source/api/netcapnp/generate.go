// Package netcapnp is the generated Go form of source/api/net.capnp, the API of virtionetd and netstackd.
//
// Only messages are used; the schema has no interfaces and the rpc package is not linked. Package
// source/libs/channel carries the messages.
package netcapnp

//go:generate go run nexus/source/api/internal/regenerate net
