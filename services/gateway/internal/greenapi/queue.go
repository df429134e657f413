package greenapi

import (
	"context"
	"encoding/json"
	"math"
	"net/http"
	"strconv"
	"time"

	"pairgate.dev/pkg/instance"
	"pairgate.dev/services/gateway/internal/web"
)

// Queue holds the notifications of instances that are pulled, in their order, each
// under a receipt that stays the same until it is deleted.
type Queue interface {
	// Head returns the oldest notification; ok is false when there is none.
	Head(ctx context.Context, id instance.ID) (receipt uint64, body []byte, ok bool, err error)
	// Watch begins to listen. wait returns when a notification may have come since, or
	// ctx has ended; what comes between Watch and a Head after it is not missed.
	Watch(id instance.ID) (wait func(context.Context), stop func(), err error)
	// Delete removes one notification of the instance; ok is false when it has none
	// with the receipt.
	Delete(ctx context.Context, id instance.ID, receipt uint64) (ok bool, err error)
	// Count returns how many there are.
	Count(ctx context.Context, id instance.ID) (uint64, error)
	// Clear removes all.
	Clear(ctx context.Context, id instance.ID) error
	// Owed returns how many notifications are still to be sent to the webhook.
	Owed(ctx context.Context, webhook string, id instance.ID) (uint64, error)
}

// The limits of receiveTimeout. Clients that ask for less or more get the nearest.
const (
	minReceive     = 5 * time.Second
	maxReceive     = 60 * time.Second
	maxReceiptSent = math.MaxInt32
)

// received is an item of the queue.
type received struct {
	Receipt uint64          `json:"receiptId"`
	Body    json.RawMessage `json:"body"`
}

// receiveNotification answers the oldest notification. It waits for one, also while
// every notification is turned off: an answer at once would make clients spin.
func (a *API) receiveNotification(w http.ResponseWriter, r *http.Request, c *called) error {
	if _, pushes := a.pushes(c.id); pushes {
		return customURL(c)
	}
	wait, err := receiveTimeout(w, r)
	if err != nil {
		return err
	}
	ctx, done := a.waiting(r)
	defer done()
	ctx, cancel := context.WithTimeout(ctx, wait)
	defer cancel()
	item, err := a.receive(ctx, c.id)
	if err != nil && ctx.Err() == nil {
		return err
	}
	if item == nil {
		return web.Bytes(w, http.StatusOK, contentJSON, []byte("null"))
	}
	return answer(w, item)
}

// receive waits for the head of the queue; it returns nil when ctx ends first.
func (a *API) receive(ctx context.Context, id instance.ID) (*received, error) {
	wait, stop, err := a.Queue.Watch(id)
	if err != nil {
		return nil, err
	}
	defer stop()
	for {
		receipt, body, ok, err := a.Queue.Head(ctx, id)
		switch {
		case err != nil:
			return nil, err
		case ok:
			return &received{receipt, body}, nil
		case ctx.Err() != nil:
			return nil, nil
		}
		wait(ctx)
	}
}

// receiveTimeout reads how long to wait, from the query or, as some clients send it,
// from the body of the GET. What is no number counts as the default.
func receiveTimeout(w http.ResponseWriter, r *http.Request) (time.Duration, error) {
	body, err := readObject(w, r)
	if err != nil {
		return 0, err
	}
	n, ok := body.integer("receiveTimeout")
	if given := r.URL.Query().Get("receiveTimeout"); given != "" {
		n, err = strconv.ParseUint(given, 10, 32)
		ok = err == nil
	}
	if !ok {
		return minReceive, nil
	}
	n = min(n, uint64(maxReceive/time.Second))
	return max(time.Duration(n)*time.Second, minReceive), nil
}

func customURL(c *called) *refusal {
	return &refusal{status: http.StatusBadRequest, code: "webhook_url_set",
		body: "Message cannot be received because custom webhook url is set. Go to cabinet, clear webhook url for instance: " +
			strconv.FormatUint(c.number, 10) + " and wait for about 1 minute for another attempt"}
}

// deleteNotification takes a notification out of the queue.
func (a *API) deleteNotification(w http.ResponseWriter, r *http.Request, c *called) error {
	if len(c.tail) == 0 {
		return errReceipt
	}
	receipt, ok := parseNumber(c.tail[0])
	if !ok {
		return errReceipt
	}
	if _, pushes := a.pushes(c.id); pushes {
		return customURL(c)
	}
	deleted := false
	if receipt <= maxReceiptSent {
		var err error
		if deleted, err = a.Queue.Delete(r.Context(), c.id, receipt); err != nil {
			return err
		}
	}
	out := struct {
		Result bool   `json:"result"`
		Reason string `json:"reason"`
	}{Result: deleted}
	if !deleted {
		out.Reason = "There is no notification with this receiptId; it was deleted already or has expired."
	}
	return answer(w, out)
}

// getWebhooksCount counts what is still to be received, by pulling or at webhookUrl.
func (a *API) getWebhooksCount(w http.ResponseWriter, r *http.Request, c *called) error {
	count, err := a.Queue.Count(r.Context(), c.id)
	if err != nil {
		return err
	}
	if hook, pushes := a.pushes(c.id); pushes {
		owed, err := a.Queue.Owed(r.Context(), hook.GetId(), c.id)
		if err != nil {
			return err
		}
		count += owed
	}
	return answer(w, struct {
		Count uint64 `json:"count"`
	}{count})
}

// clearWebhooksQueue drops what is still to be received, also while webhookUrl is set.
func (a *API) clearWebhooksQueue(w http.ResponseWriter, r *http.Request, c *called) error {
	if err := a.Queue.Clear(r.Context(), c.id); err != nil {
		return err
	}
	if err := a.dropOwed(r.Context(), c); err != nil {
		return err
	}
	return answer(w, struct {
		Cleared bool   `json:"isCleared"`
		Reason  string `json:"reason"`
	}{Cleared: true})
}
