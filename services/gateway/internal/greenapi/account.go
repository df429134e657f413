package greenapi

import "net/http"

// getWaSettings tells of the linked account. The picture of an account is not read
// from the messenger, so it has none.
func (a *API) getWaSettings(w http.ResponseWriter, _ *http.Request, c *called) error {
	s := a.see(c.id)
	out := struct {
		Avatar string `json:"avatar"`
		Phone  string `json:"phone"`
		State  string `json:"stateInstance"`
		Device string `json:"deviceId"`
		Until  int64  `json:"suspendedUntil,omitempty"`
	}{State: s.state, Until: s.until()}
	if s.usable() {
		out.Phone, out.Device = s.account.Phone, s.account.ID
	}
	return answer(w, out)
}

// getAccountSettings is getWaSettings as MAX instances have it.
func (a *API) getAccountSettings(w http.ResponseWriter, _ *http.Request, c *called) error {
	s := a.see(c.id)
	out := struct {
		Avatar string `json:"avatar"`
		Phone  string `json:"phone"`
		State  string `json:"stateInstance"`
		Chat   string `json:"chatId"`
		Until  int64  `json:"suspendedUntil"`
	}{State: s.state, Until: s.until()}
	if s.usable() {
		out.Phone, out.Chat = s.account.Phone, s.account.ID
	}
	return answer(w, out)
}
