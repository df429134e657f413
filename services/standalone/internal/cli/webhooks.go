package cli

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"net/http"
	"net/url"
	"strings"
)

func webhookCommands() []command {
	const of = "Without --instance it is about the webhooks that are told of all instances."
	return []command{
		{name: "webhooks ls", summary: "list webhooks", text: of, prepare: ofInstance(listWebhooks)},
		{name: "webhooks add", args: "URL", summary: "add a webhook", text: of, least: 1, most: 1, prepare: prepareAddWebhook},
		{name: "webhooks rm", args: "ID", summary: "remove a webhook", text: of, least: 1, most: 1, prepare: ofInstance(removeWebhook)},
		{name: "webhooks test", args: "ID", summary: "send a test event to a webhook now", text: of, least: 1, most: 1, prepare: ofInstance(testWebhook)},
		{name: "deliveries", args: "WEBHOOK", summary: "list what a webhook was sent, is owed and will not get", least: 1, most: 1, prepare: prepareDeliveries,
			text: "WEBHOOK is a webhook's id."},
	}
}

// ofInstance is a command about the webhooks of one instance or of all; base is their path.
func ofInstance(do func(ctx context.Context, c *call, base string) error) func(*flag.FlagSet) func(context.Context, *call) error {
	return func(f *flag.FlagSet) func(context.Context, *call) error {
		ref := f.String("instance", "", "`NAME` of the instance")
		return func(ctx context.Context, c *call) error {
			base := "/v1/webhooks"
			if *ref != "" {
				base = one(*ref) + "/webhooks"
			}
			return do(ctx, c, base)
		}
	}
}

func listWebhooks(ctx context.Context, c *call, base string) error {
	a, err := c.api.get(ctx, base)
	if err != nil || c.json {
		return c.printed(a, err)
	}
	var all struct{ Webhooks []webhookBody }
	if err := a.into(&all); err != nil {
		return err
	}
	lines := [][]string{{"ID", "FORMAT", "EVENTS", "STATE", "URL"}}
	for _, w := range all.Webhooks {
		events, state := strings.Join(w.Events, ","), "enabled"
		if events == "" {
			events = "all"
		}
		if !w.Enabled {
			if state = "disabled"; w.DisabledReason != "" {
				state += ": " + w.DisabledReason
			}
		}
		lines = append(lines, []string{w.ID, w.Format, events, state, w.URL})
	}
	return rows(c.Out, lines)
}

func prepareAddWebhook(f *flag.FlagSet) func(context.Context, *call) error {
	format := f.String("format", "", "`FORMAT` of the bodies: native, green-api or evolution; native when absent")
	events := f.String("events", "", "`KINDS` of events, separated by commas; all when absent")
	secretFile := f.String("secret-file", "", "`FILE` with the secret that signs; made when absent")
	var headers list
	f.Var(&headers, "header", "`NAME=VALUE` that is sent along; may be given several times")
	return ofInstance(func(ctx context.Context, c *call, base string) error {
		body := map[string]any{"url": c.args[0]}
		if *format != "" {
			body["format"] = *format
		}
		if *events != "" {
			body["events"] = strings.Split(*events, ",")
		}
		if *secretFile != "" {
			secret, err := readSecret(*secretFile)
			if err != nil {
				return err
			}
			body["secret"] = secret.Reveal()
		}
		values := map[string]string{}
		for _, h := range headers {
			name, value, ok := strings.Cut(h, "=")
			if !ok {
				return usagef("--header must be NAME=VALUE")
			}
			values[name] = value
		}
		if len(values) > 0 {
			body["headers"] = values
		}
		a, err := c.api.do(ctx, http.MethodPost, base, body)
		if err != nil || c.json {
			return c.printed(a, err)
		}
		var w webhookBody
		if err := a.into(&w); err != nil {
			return err
		}
		if *secretFile != "" {
			w.Secret = "" // its owner has it
		}
		fmt.Fprintf(c.Out, "added %s\n", w.ID)
		return facts(c.Out, "url", w.URL, "secret", w.Secret)
	})(f)
}

func removeWebhook(ctx context.Context, c *call, base string) error {
	if _, err := c.api.do(ctx, http.MethodDelete, base+"/"+url.PathEscape(c.args[0]), nil); err != nil {
		return err
	}
	if c.json {
		return raw(c.Out, []byte("{}"))
	}
	_, err := fmt.Fprintf(c.Out, "removed %s\n", clean(c.args[0]))
	return err
}

// testWebhook fails when the receiver did not take the event.
func testWebhook(ctx context.Context, c *call, base string) error {
	a, err := c.api.do(ctx, http.MethodPost, base+"/"+url.PathEscape(c.args[0])+"/test", nil)
	if err != nil {
		return err
	}
	var attempt attemptBody
	if err := a.into(&attempt); err != nil {
		return err
	}
	if c.json {
		err = raw(c.Out, a.body)
	}
	switch {
	case err != nil:
		return err
	case attempt.Error != "" && attempt.StatusCode != 0:
		return fmt.Errorf("the receiver answered %d (%s)", attempt.StatusCode, attempt.Error)
	case attempt.Error != "":
		return fmt.Errorf("the receiver did not answer: %s", attempt.Error)
	case !c.json:
		_, err = fmt.Fprintf(c.Out, "the receiver answered %d\n", attempt.StatusCode)
	}
	return err
}

func prepareDeliveries(f *flag.FlagSet) func(context.Context, *call) error {
	state := f.String("state", "", "only those in this `STATE`: pending, delivered, failed or dropped")
	return func(ctx context.Context, c *call) error {
		q := url.Values{}
		if *state != "" {
			q.Set("state", *state)
		}
		all, err := c.api.pages(ctx, "/v1/webhooks/"+url.PathEscape(c.args[0])+"/deliveries", q, "deliveries")
		if err != nil {
			return err
		}
		if c.json {
			return json.NewEncoder(c.Out).Encode(map[string]any{"deliveries": all})
		}
		lines := [][]string{{"ID", "EVENT", "KIND", "STATE", "ATTEMPTS", "LAST", "NEXT"}}
		for _, each := range all {
			var d deliveryBody
			if err := json.Unmarshal(each, &d); err != nil {
				return err
			}
			if d.Reason != "" {
				d.State += ": " + d.Reason
			}
			lines = append(lines, []string{d.ID, fmt.Sprint(d.Sequence), d.Kind, d.State, fmt.Sprint(d.Attempts), orDash(d.LastAttempt.String()), orDash(moment(d.NextAttemptAt))})
		}
		return rows(c.Out, lines)
	}
}

// String is what came of the attempt, in a word or two.
func (a *attemptBody) String() string {
	switch {
	case a == nil:
		return ""
	case a.StatusCode == 0:
		return a.Error
	}
	return fmt.Sprint(a.StatusCode)
}
