package format

import (
	"bytes"
	"encoding/json"
)

// encode writes JSON as the imitated products do: members in the order of the struct,
// no spaces, and no escaping of what is only dangerous inside HTML.
func encode(v any) ([]byte, error) {
	var out bytes.Buffer
	e := json.NewEncoder(&out)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		return nil, err
	}
	return bytes.TrimSuffix(out.Bytes(), []byte("\n")), nil
}
