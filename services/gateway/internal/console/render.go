package console

import (
	"bytes"
	"embed"
	"encoding/base64"
	"html/template"
	"net/http"
	"path"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	"pairgate.dev/pkg/instance"
	"pairgate.dev/services/gateway/internal/web"
)

var (
	//go:embed pages
	pageFiles embed.FS
	//go:embed assets
	assetFiles embed.FS
)

// templates are the pages by name; each knows the frame and the parts.
var templates = func() map[string]*template.Template {
	shared := template.Must(template.New("").Funcs(functions).ParseFS(pageFiles, "pages/frame.html", "pages/parts.html"))
	all := map[string]*template.Template{"parts": shared}
	for _, name := range []string{"login", "list", "new", "instance", "ask", "problem"} {
		all[name] = template.Must(template.Must(shared.Clone()).ParseFS(pageFiles, "pages/"+name+".html"))
	}
	return all
}()

var functions = template.FuncMap{
	"label": func(phase string) string { return labels[instance.Phase(phase)] },
	"tone":  func(phase string) string { return tone(instance.Phase(phase)) },
	"messenger": func(provider string) string {
		if name, ok := messengers[instance.Provider(provider)]; ok {
			return name
		}
		return provider
	},
	// png is safe as a URL because the picture is base64 and the type is fixed.
	"png": func(image []byte) template.URL {
		return template.URL("data:image/png;base64," + base64.StdEncoding.EncodeToString(image))
	},
	"machine": func(t *timestamppb.Timestamp) string { return t.AsTime().UTC().Format(time.RFC3339Nano) },
	"people":  func(t *timestamppb.Timestamp) string { return t.AsTime().UTC().Format("2 Jan 2006, 15:04:05 UTC") },
	"grouped": grouped,
	// now is what browsers count down from, in milliseconds since 1970.
	"now": func() int64 { return time.Now().UnixMilli() },
}

// frame is what every page has.
type frame struct {
	Title string
	// Stream is the path of the page's live parts; empty for none.
	Stream string
	// Refresh has browsers without scripts load the page again every few seconds.
	Refresh bool
	// FormToken is for the forms of who is signed in; empty for who is not.
	FormToken string
}

type problemPage struct {
	frame
	Problem  *instance.Problem
	Back     string
	SignedIn bool
}

// render answers a page. It is rendered to its end first, so that no half of one is sent.
func render(w http.ResponseWriter, status int, name string, data any) error {
	var page bytes.Buffer
	if err := templates[name].ExecuteTemplate(&page, "page", data); err != nil {
		return err
	}
	return web.Bytes(w, status, "text/html; charset=utf-8", page.Bytes())
}

// part renders one live part of a page.
func part(name string, data any) (string, error) {
	var text bytes.Buffer
	err := templates["parts"].ExecuteTemplate(&text, name, data)
	return text.String(), err
}

// assetTypes are the types of the assets by the ends of their names.
var assetTypes = map[string]string{".css": "text/css; charset=utf-8", ".js": "text/javascript; charset=utf-8", ".svg": "image/svg+xml"}

// asset serves a file that pages use. It needs no session: the sign-in uses them, too.
func (c *Console) asset(w http.ResponseWriter, r *http.Request) error {
	secure(w.Header())
	name := r.PathValue("name")
	content, err := assetFiles.ReadFile("assets/" + path.Base(name))
	if err != nil {
		return instance.Problemf(instance.CodeNotFound, "There is no such route.")
	}
	return web.Bytes(w, http.StatusOK, assetTypes[path.Ext(name)], content)
}
