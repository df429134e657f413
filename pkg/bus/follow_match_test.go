package bus

import "testing"

func TestSubjectMatches(t *testing.T) {
	for _, tc := range []struct {
		filter, subject string
		want            bool
	}{
		{">", "a", true}, {">", "", false}, {"a", "a", true}, {"a", "b", false}, {"a.*", "a.b", true}, {"a.*", "a", false},
		{"a.*", "a.b.c", false}, {"a.>", "a.b.c", true}, {"a.>", "a", false}, {"*.b", "a.b", true}, {"*.b", "a.c", false},
		{"a.b", "a.b.c", false}, {"a.b.c", "a.b", false}, {"i.>", "i.001.x", true}, {"i.>", "number.1", false},
	} {
		if got := subjectMatches(tc.filter, tc.subject); got != tc.want {
			t.Errorf("subjectMatches(%q, %q) = %v, want %v", tc.filter, tc.subject, got, tc.want)
		}
	}
}
