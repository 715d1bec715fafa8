package records

// Slots is how many records the store has places for, at the moment.
func (s *Store) Slots() (n int) {
	s.records.mu.Lock()
	defer s.records.mu.Unlock()
	for _, from := range s.records.sources {
		n += len(from.slots)
	}
	return n
}
