package evolution

import (
	"cmp"
	"context"
	"net/http"
	"sync"
	"time"

	"pairgate.dev/pkg/bus"
	pb "pairgate.dev/proto/pairgate/v1"
	"pairgate.dev/services/gateway/internal/web"
)

type welcome struct {
	Status             int    `json:"status"`
	Message            string `json:"message"`
	Version            string `json:"version"`
	ClientName         string `json:"clientName"`
	Manager            string `json:"manager,omitempty"`
	Documentation      string `json:"documentation"`
	WhatsappWebVersion string `json:"whatsappWebVersion,omitempty"`
}

// Root answers GET / to programs: health checks of the product's users look at it. It
// needs no key, and asks nothing of WhatsApp.
func (a *API) Root(w http.ResponseWriter, r *http.Request) error {
	web.SetRoute(w, "/")
	a.cors(w, r)
	out := welcome{Status: http.StatusOK, Message: "Welcome to the Evolution API, it is working!", Version: version, ClientName: a.ClientName,
		Documentation: "https://doc.evolution-api.com", WhatsappWebVersion: cmp.Or(a.webVersion.now(r.Context(), a), a.WebVersion)}
	if !a.HideManager {
		out.Manager = "http://" + r.Host + "/manager"
		if r.Header.Get("X-Forwarded-Proto") == "https" {
			out.Manager = "https://" + r.Host + "/manager"
		}
	}
	return answer(w, http.StatusOK, out)
}

// verifyCreds tells the holder of the global key that it is that.
func (a *API) verifyCreds(c *call) error {
	return answer(c.w, http.StatusOK, struct {
		Status  int    `json:"status"`
		Message string `json:"message"`
	}{http.StatusOK, "Credentials are valid"})
}

// webVersionLife is how long the version is remembered, webVersionTimeout how long a
// request waits for it: anybody may ask, and health checks do it often.
const (
	webVersionLife    = 10 * time.Second
	webVersionTimeout = 500 * time.Millisecond
)

// webVersion remembers the version of WhatsApp that an operator has set.
type webVersion struct {
	mu    sync.Mutex
	asked time.Time
	text  string
}

func (v *webVersion) now(ctx context.Context, a *API) string {
	v.mu.Lock()
	defer v.mu.Unlock()
	if !v.asked.IsZero() && time.Since(v.asked) < webVersionLife {
		return v.text
	}
	v.asked = time.Now()
	ctx, cancel := context.WithTimeout(ctx, webVersionTimeout)
	defer cancel()
	var reply pb.GetSettingsReply
	if err := a.Client.Request(ctx, bus.SubjectSettingsGet, &pb.GetSettingsRequest{}, &reply); err == nil {
		v.text = reply.GetSettings().GetWhatsappVersion()
	}
	return v.text
}
