package greenapi

import (
	"net/http"
	"time"
)

// qr answers the current code as a picture. It is a command: it opens a window
// unless one is open. Whatever comes of it is answered with 200.
func (a *API) qr(w http.ResponseWriter, r *http.Request, c *called) error {
	ctx, done := a.waiting(r)
	defer done()
	o, err := a.link(ctx, c)
	if err != nil {
		return err
	}
	o.header(w.Header())
	return answer(w, o)
}

// header tells when the picture is over, or why there is none.
func (o outcome) header(h http.Header) {
	if o.qr.GetExpiresAt() != nil {
		h.Set("X-QR-Expires-At", o.qr.GetExpiresAt().AsTime().UTC().Format(time.RFC3339Nano))
	}
	if o.code != "" {
		h.Set(headerCode, o.code)
	}
}
