package console

import (
	"context"
	"net/http"
	"net/url"
	"time"

	"pairgate.dev/pkg/bus"
	"pairgate.dev/pkg/instance"
	pb "pairgate.dev/proto/pairgate/v1"
	"pairgate.dev/services/gateway/internal/client"
)

const (
	// rowsPerPage is how many instances a page of the list shows.
	rowsPerPage = 50
	// listInterval is the least time between two renderings of a live list, which
	// looks through all instances.
	listInterval = time.Second
)

type listPage struct {
	frame
	Filter    filter
	Phases    []instance.Phase
	Providers []instance.Provider
	Rows      rowsPart
}

// filter is what the list is narrowed to, as in the query of its URL.
type filter struct{ Name, Phase, Provider, After string }

func filterOf(q url.Values) filter {
	return filter{Name: q.Get("name"), Phase: q.Get("phase"), Provider: q.Get("provider"), After: q.Get("after")}
}

func (f filter) query() string {
	q := url.Values{}
	for name, value := range map[string]string{"name": f.Name, "phase": f.Phase, "provider": f.Provider, "after": f.After} {
		if value != "" {
			q.Set(name, value)
		}
	}
	if len(q) == 0 {
		return ""
	}
	return "?" + q.Encode()
}

// Narrow says whether instances may be left out.
func (f filter) Narrow() bool { return f.Name != "" || f.Phase != "" || f.Provider != "" }

// rowsPart is the live part of the list.
type rowsPart struct {
	Instances  []*pb.Instance
	Filter     filter
	Next, Back string
}

// rows reads a page of the list. The error names what is wrong with the filter.
func (c *Console) rows(f filter) (rowsPart, error) {
	req := &pb.ListInstancesRequest{Phase: f.Phase, Provider: f.Provider, Name: f.Name, PageToken: f.After, PageSize: rowsPerPage}
	var bad instance.FieldErrors
	if client.CheckList(&bad, req); len(bad) > 0 {
		return rowsPart{}, bad.Err()
	}
	reply := c.Client.List(req)
	part := rowsPart{Instances: reply.GetInstances(), Filter: f}
	if next := reply.GetNextPageToken(); next != "" {
		further := f
		further.After = next
		part.Next = "/" + further.query()
	}
	if f.After != "" {
		first := f
		first.After = ""
		part.Back = "/" + first.query()
	}
	return part, nil
}

func (c *Console) list(w http.ResponseWriter, r *http.Request, one session) error {
	f := filterOf(r.URL.Query())
	rows, err := c.rows(f)
	if err != nil {
		return err
	}
	return render(w, http.StatusOK, "list", listPage{
		frame:  frame{Title: "Instances", Stream: "/console/events" + f.query(), FormToken: c.sessions.formToken(one)},
		Filter: f, Phases: shownPhases(), Providers: instance.Providers(), Rows: rows})
}

// shownPhases are those that an instance of the list can be in.
func shownPhases() []instance.Phase {
	phases := instance.Phases()
	return phases[:len(phases)-1] // the last is that of deleted instances
}

// listEvents keeps the rows of an open list as they are now.
func (c *Console) listEvents(w http.ResponseWriter, r *http.Request, one session) error {
	f := filterOf(r.URL.Query())
	if _, err := c.rows(f); err != nil {
		return err
	}
	views := c.Client.Views()
	return c.live(w, r, one, liveParts{
		interval: listInterval,
		subscribe: func(changed func()) func() {
			leaveRecords := views.Instances.Subscribe(func(bus.InstanceChange) { changed() })
			leaveStatuses := views.Sessions.Subscribe(func(ev *pb.Event) {
				if ev.GetKind() == string(instance.KindStatus) {
					changed()
				}
			})
			return func() { leaveStatuses(); leaveRecords() }
		},
		render: func(context.Context) ([]fragment, error) {
			rows, err := c.rows(f)
			if err != nil {
				return nil, err
			}
			return fragments(fragment{ID: "rows", data: rows})
		},
	})
}
