// Package faults holds what every emulated messenger does wrong at the moment.
package faults

import (
	"sync"
	"sync/atomic"

	"pairgate.dev/services/lab/labapi"
)

// Switch holds the faults. The zero value is no fault.
type Switch struct {
	mu  sync.Mutex
	now atomic.Pointer[labapi.Faults]
}

// Now returns the faults of the moment.
func (s *Switch) Now() labapi.Faults {
	if f := s.now.Load(); f != nil {
		return *f
	}
	return labapi.Faults{}
}

// Change lets change edit the faults and takes the result unless change or
// labapi.Faults.Validate returns an error; then nothing has changed.
func (s *Switch) Change(change func(*labapi.Faults) error) (labapi.Faults, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	f := s.Now()
	if err := change(&f); err != nil {
		return labapi.Faults{}, err
	}
	if err := f.Validate(); err != nil {
		return labapi.Faults{}, err
	}
	s.now.Store(&f)
	return f, nil
}

// Clear takes all faults back.
func (s *Switch) Clear() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.now.Store(nil)
}

// Take uses one up of the counter that pick points at, and says whether there was one.
func (s *Switch) Take(pick func(*labapi.Faults) *int) bool {
	if f := s.Now(); *pick(&f) == 0 {
		return false
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	f := s.Now()
	n := pick(&f)
	if *n == 0 {
		return false
	}
	*n--
	s.now.Store(&f)
	return true
}
