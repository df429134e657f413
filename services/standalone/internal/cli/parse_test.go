package cli

import (
	"bytes"
	"errors"
	"io"
	"strings"
	"testing"
	"unicode"
)

func FuzzReadMessages(f *testing.F) {
	for _, seed := range []string{"retry: 2000\n\n", "id: 7\n\n", ": \n\n", "id: 1\nevent: status\ndata: {}\n\n", "data: a\ndata: b\n\n", "event: cut off", "data:x\r\n\r\n", "\n\n\n"} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, stream []byte) {
		size := 0
		err := readMessages(bytes.NewReader(stream), func(m message) bool {
			size += len(m.data)
			return true
		})
		if !errors.Is(err, io.EOF) || size > len(stream) {
			t.Errorf("%d bytes of data from %d, %v", size, len(stream), err)
		}
	})
}

func TestReadMessages(t *testing.T) {
	const stream = "retry: 2000\n\nid: 7\n\n: \n\nid: 8\nevent: status\ndata: {\ndata: }\n\nevent: cut off"
	var got []message
	err := readMessages(strings.NewReader(stream), func(m message) bool {
		got = append(got, m)
		return true
	})
	if !errors.Is(err, io.EOF) || len(got) != 2 || got[0].id != "7" || got[1].id != "8" || got[1].event != "status" || string(got[1].data) != "{\n}" {
		t.Errorf("%+v, %v", got, err)
	}
	if err := readMessages(strings.NewReader(stream), func(message) bool { return false }); err != nil {
		t.Errorf("stopped: %v", err)
	}
	if err := readMessages(io.LimitReader(endless{}, 2*maxLine), func(message) bool { return true }); !errors.Is(err, errLineTooLong) {
		t.Errorf("of an endless line: %v", err)
	}
}

type endless struct{}

func (endless) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = 'x'
	}
	return len(p), nil
}

func FuzzParseTable(f *testing.F) {
	for _, seed := range []string{"name,provider\nshop,simulated\n", "\ufeffname\n\"a, b\"\n", `[{"name":"shop","number":71000001}]`, `[{"name":["x"]}]`, "{}", "[", "name\n\"", "colour\nred\n", "name\na,b\n", "[]x"} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, content []byte) {
		table, err := parseTable(content)
		if err != nil && table != nil {
			t.Error("rows beside an error")
		}
		for _, row := range table {
			if row.place == "" || len(row.key()) != len("import-")+64 {
				t.Errorf("%+v has the key %q", row, row.key())
			}
		}
	})
}

func FuzzClean(f *testing.F) {
	f.Add("Ann")
	f.Add("\x1b[2J\u202egnirts\x00\xff")
	f.Fuzz(func(t *testing.T, s string) {
		if i := strings.IndexFunc(clean(s), unicode.IsControl); i >= 0 {
			t.Errorf("%q keeps what a terminal obeys", clean(s))
		}
	})
}

// TestTheKeyOfARowIsItsOwn: rows whose fields run into one another are told apart.
func TestTheKeyOfARowIsItsOwn(t *testing.T) {
	one := importRow{fields: map[string]string{"name": "ab", "number": "c"}}
	other := importRow{fields: map[string]string{"name": "a", "number": "bc"}}
	again := importRow{place: "elsewhere", fields: map[string]string{"number": "c", "name": "ab"}}
	if one.key() == other.key() || one.key() != again.key() {
		t.Error("two rows have one key, or one row has two")
	}
}
