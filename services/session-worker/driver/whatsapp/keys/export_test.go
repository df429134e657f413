package keys

import "testing"

// Pragma returns a setting of a connection of the pool.
func (s *Store) Pragma(t *testing.T, name string) string {
	t.Helper()
	var value string
	if err := s.db.QueryRowContext(t.Context(), "PRAGMA "+name).Scan(&value); err != nil {
		t.Fatal(err)
	}
	return value
}
