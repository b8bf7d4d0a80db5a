package vm

// Areas and Spaces are how many of each are in use.
func Areas() int {
	n := areasUsed
	for a := areasFree; a != nil; a = a.next {
		n--
	}
	return n
}

func Spaces() (n int) {
	for i := range spaces {
		if spaces[i].root != 0 {
			n++
		}
	}
	return n
}

// Areas is how many of them are s's.
func (s *Space) Areas() int { return s.count }
