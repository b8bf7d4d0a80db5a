package inet

// Namespaces is the number of namespaces that exist.
func Namespaces() (n int) {
	for i := range namespaces {
		if namespaces[i].used {
			n++
		}
	}
	return n
}
