//go:build !race

package sockserver_test

// many is how many connections TestManyConnections opens at once.
const many = 1000
