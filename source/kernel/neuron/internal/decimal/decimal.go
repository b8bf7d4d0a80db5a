// Package decimal writes numbers as people read them, without a heap.
package decimal

// Digits is room for the longest number.
type Digits [20]byte

// Format writes v to d and returns the digits.
func Format(d *Digits, v uint64) []byte {
	i := len(d)
	for {
		i--
		d[i] = byte('0' + v%10)
		if v /= 10; v == 0 {
			return d[i:]
		}
	}
}
