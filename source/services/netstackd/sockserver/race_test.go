//go:build race

package sockserver_test

// The race detector makes each packet ten times as dear.
const many = 200
