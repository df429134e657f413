package cli

import (
	"bufio"
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"net/http"
	"net/url"
	"strings"
)

func instanceCommands() []command {
	return []command{
		{name: "create", args: "NAME", summary: "make an instance", least: 1, most: 1, prepare: prepareCreate,
			text: "Its token is shown here only; pairgate token makes a new one."},
		{name: "ls", summary: "list instances", prepare: prepareList},
		{name: "status", args: "NAME", summary: "say what an instance is", least: 1, most: 1, prepare: plain(showStatus),
			text: "NAME is an instance's name, id or number, here and in every command."},
		{name: "logout", args: "NAME", summary: "unlink an instance from its account", least: 1, most: 1, prepare: plain(settle("logout"))},
		{name: "restart", args: "NAME", summary: "connect an instance anew", least: 1, most: 1, prepare: plain(settle("restart"))},
		{name: "delete", args: "NAME", summary: "log an instance out and delete it", least: 1, most: 1, prepare: prepareDelete},
		{name: "token", args: "NAME", summary: "give an instance a new token", least: 1, most: 1, prepare: plain(rotateToken),
			text: "The old token is dead at once."},
	}
}

// plain is a command without flags of its own.
func plain(do func(context.Context, *call) error) func(*flag.FlagSet) func(context.Context, *call) error {
	return func(*flag.FlagSet) func(context.Context, *call) error { return do }
}

func prepareCreate(f *flag.FlagSet) func(context.Context, *call) error {
	provider := f.String("provider", "", "`MESSENGER`: whatsapp, max or simulated; required")
	phone := f.String("phone", "", "the only `NUMBER` that may be linked; any when absent")
	number := f.String("number", "", "`NUMBER` of the instance, 8 to 12 digits; made when absent")
	var webhooks list
	f.Var(&webhooks, "webhook", "`URL` that is told of everything; may be given several times")
	return func(ctx context.Context, c *call) error {
		body := map[string]any{"name": c.args[0], "provider": *provider}
		if *provider == "" {
			return usagef("create needs --provider")
		}
		if *phone != "" {
			body["phone"] = digits(*phone)
		}
		if *number != "" {
			body["number"] = *number
		}
		var specs []any
		for _, u := range webhooks {
			specs = append(specs, map[string]string{"url": u})
		}
		if specs != nil {
			body["webhooks"] = specs
		}
		a, err := c.api.do(ctx, http.MethodPost, "/v1/instances", body)
		if err != nil || c.json {
			return c.printed(a, err)
		}
		var made struct {
			Instance instanceBody
			Token    string
			Webhooks []webhookBody
		}
		if err := a.into(&made); err != nil {
			return err
		}
		fmt.Fprintf(c.Out, "created %s\n", clean(made.Instance.Name))
		lines := []string{"id", made.Instance.ID, "number", made.Instance.Number, "provider", made.Instance.Provider,
			"phone", made.Instance.Phone, "token", made.Token}
		for _, w := range made.Webhooks {
			lines = append(lines, "webhook", w.ID+" "+w.URL, "its secret", w.Secret)
		}
		return facts(c.Out, lines...)
	}
}

// digits takes a phone number as people write it.
func digits(phone string) string {
	return strings.NewReplacer("+", "", " ", "", "-", "", "(", "", ")", "").Replace(phone)
}

// printed ends a command that shows the answer as it is.
func (c *call) printed(a answer, err error) error {
	if err != nil {
		return err
	}
	return raw(c.Out, a.body)
}

func prepareList(f *flag.FlagSet) func(context.Context, *call) error {
	query := map[string]*string{
		"phase":    f.String("phase", "", "only those in this `PHASE`"),
		"provider": f.String("provider", "", "only those of this `MESSENGER`"),
		"name":     f.String("name", "", "only those with this `TEXT` in their names"),
	}
	return func(ctx context.Context, c *call) error {
		q := url.Values{}
		for name, value := range query {
			if *value != "" {
				q.Set(name, *value)
			}
		}
		all, err := c.api.pages(ctx, "/v1/instances", q, "instances")
		if err != nil {
			return err
		}
		if c.json {
			return json.NewEncoder(c.Out).Encode(map[string]any{"instances": all})
		}
		lines := [][]string{{"NAME", "NUMBER", "PROVIDER", "PHASE", "REASON", "ACCOUNT"}}
		for _, each := range all {
			var i instanceBody
			if err := json.Unmarshal(each, &i); err != nil {
				return err
			}
			lines = append(lines, []string{i.Name, i.Number, i.Provider, i.Status.Phase, i.Status.Reason, orDash(i.Status.Account.String())})
		}
		return rows(c.Out, lines)
	}
}

func showStatus(ctx context.Context, c *call) error {
	a, err := c.api.get(ctx, one(c.args[0])+"/status")
	if err != nil || c.json {
		return c.printed(a, err)
	}
	var s statusBody
	if err := a.into(&s); err != nil {
		return err
	}
	fmt.Fprintf(c.Out, "%s is %s, %s\n", clean(c.args[0]), s.Phase, s.Reason)
	return facts(c.Out, "detail", s.Detail, "account", s.Account.String(), "since", moment(s.Since), "until", moment(s.Until))
}

// settle sends a command and waits until it is carried out.
func settle(verb string) func(context.Context, *call) error {
	return func(ctx context.Context, c *call) error {
		a, err := c.api.do(ctx, http.MethodPost, one(c.args[0])+"/"+verb+"?wait=30", nil)
		if err != nil {
			return err
		}
		var s statusBody
		if err := a.into(&s); err != nil {
			return err
		}
		if c.json {
			err = raw(c.Out, a.body)
		} else if a.status == http.StatusOK {
			_, err = fmt.Fprintf(c.Out, "%s is %s, %s\n", clean(c.args[0]), s.Phase, s.Reason)
		}
		if err == nil && a.status != http.StatusOK {
			err = fmt.Errorf("the %s is noted, and not carried out within 30 s: %s is %s, %s", verb, c.args[0], s.Phase, s.Reason)
		}
		return err
	}
}

func prepareDelete(f *flag.FlagSet) func(context.Context, *call) error {
	yes := f.Bool("yes", false, "don't ask")
	return func(ctx context.Context, c *call) error {
		if !*yes {
			if !isTerminal(c.In) {
				return usagef("delete needs --yes where nobody can be asked")
			}
			var i instanceBody
			a, err := c.api.get(ctx, one(c.args[0]))
			if err == nil {
				err = a.into(&i)
			}
			if err != nil {
				return err
			}
			fmt.Fprintf(c.Err, "Delete %s (%s, number %s, %s)? [y/N] ", clean(i.Name), i.Provider, i.Number, i.Status.Phase)
			said, err := c.answer(ctx)
			if err != nil {
				return err
			}
			if said = strings.ToLower(strings.TrimSpace(said)); said != "y" && said != "yes" {
				return fmt.Errorf("%s was not deleted", i.Name)
			}
		}
		if _, err := c.api.do(ctx, http.MethodDelete, one(c.args[0]), nil); err != nil {
			return err
		}
		if c.json {
			return raw(c.Out, []byte("{}"))
		}
		_, err := fmt.Fprintf(c.Out, "deleted %s\n", clean(c.args[0]))
		return err
	}
}

// answer reads a line from the terminal. A read of a terminal cannot be called
// off, so that the goroutine may be left behind when ctx ends; the process ends then.
func (c *call) answer(ctx context.Context) (string, error) {
	type reply struct {
		line string
		err  error
	}
	replies := make(chan reply, 1)
	go func() {
		line, err := bufio.NewReader(c.In).ReadString('\n')
		replies <- reply{line, err}
	}()
	select {
	case r := <-replies:
		return r.line, r.err
	case <-ctx.Done():
		fmt.Fprintln(c.Err)
		return "", ctx.Err()
	}
}

func rotateToken(ctx context.Context, c *call) error {
	a, err := c.api.do(ctx, http.MethodPost, one(c.args[0])+"/token", nil)
	if err != nil || c.json {
		return c.printed(a, err)
	}
	var made struct{ Token string }
	if err := a.into(&made); err != nil {
		return err
	}
	_, err = fmt.Fprintln(c.Out, made.Token)
	return err
}
