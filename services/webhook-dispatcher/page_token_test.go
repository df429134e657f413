package dispatcher

import "testing"

func FuzzPageToken(f *testing.F) {
	for _, token := range []string{"", pageToken(1), pageToken(1<<64 - 1), "YmVmb3JlOjA", "x", "YmVmb3JlOg"} {
		f.Add(token)
	}
	f.Fuzz(func(t *testing.T, token string) {
		before, ok := parsePageToken(token)
		if !ok && before != 0 || ok && token != "" && before == 0 {
			t.Fatalf("%q: %d, %t", token, before, ok)
		}
		if again, fine := parsePageToken(pageToken(before)); ok && (!fine || again != before) {
			t.Fatalf("%q: %d and then %d", token, before, again)
		}
	})
}
