package program

// Numbers is Calls the other way round.
var Numbers = func() map[string]uint16 {
	m := make(map[string]uint16, len(Calls))
	for n, name := range Calls {
		m[name] = n
	}
	return m
}()
