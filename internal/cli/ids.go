package cli

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/google/uuid"

	"github.com/tenterhook/tenterhook/internal/admin"
	"github.com/tenterhook/tenterhook/internal/store"
)

// shortID is the end of an id, as tables show it: the beginning of a UUIDv7 is its time, which
// many share. Every command that takes an id takes this too.
func shortID(id string) string {
	if len(id) <= shortLen {
		return id
	}
	return id[len(id)-shortLen:]
}

const (
	shortLen    = 8
	minShortLen = 6
)

// looksLikeID reports whether word can be an id or a part of one.
func looksLikeID(word string) bool {
	return len(word) >= minShortLen && strings.Trim(word, "0123456789abcdef-") == ""
}

// jobID completes the beginning or the end of an id of one of the newest jobs.
func jobID(ctx context.Context, from source, word string) (string, error) {
	return completeID("job", word, func() (ids []string, err error) {
		list, _, err := from.Jobs(ctx, store.Filter{Limit: admin.MaxLimit})
		for _, j := range list {
			ids = append(ids, j.ID)
		}
		return ids, err
	})
}

// shownJob is jobID for a command that only shows one: without a word it is the newest.
func shownJob(ctx context.Context, from source, word string) (string, error) {
	if word != "" {
		return jobID(ctx, from, word)
	}
	list, _, err := from.Jobs(ctx, store.Filter{Limit: 1})
	if err != nil || len(list) == 0 {
		return "", none("job", err)
	}
	return list[0].ID, nil
}

// shownDelivery is deliveryID for a command that only shows one: without a word it is the newest.
func shownDelivery(ctx context.Context, from source, word string) (string, error) {
	if word != "" {
		return deliveryID(ctx, from, word)
	}
	list, _, err := from.Deliveries(ctx, store.Filter{Limit: 1})
	if err != nil || len(list) == 0 {
		return "", none("delivery", err)
	}
	return list[0].ID, nil
}

func none(what string, err error) error {
	if err != nil {
		return err
	}
	return fail(fmt.Errorf("there is no %s yet", what), `"tenterhook send HOOK" makes one`)
}

// deliveryID completes the beginning or the end of an id of one of the newest deliveries.
func deliveryID(ctx context.Context, from source, word string) (string, error) {
	return completeID("delivery", word, func() (ids []string, err error) {
		list, _, err := from.Deliveries(ctx, store.Filter{Limit: admin.MaxLimit})
		for _, d := range list {
			ids = append(ids, d.ID)
		}
		return ids, err
	})
}

func completeID(what, word string, newest func() ([]string, error)) (string, error) {
	word = strings.ToLower(strings.TrimPrefix(word, "…"))
	if id, err := uuid.Parse(word); err == nil {
		return id.String(), nil
	}
	if !looksLikeID(word) {
		return "", misuse(fmt.Errorf("%q is not the id of a %s", word, what), fmt.Sprintf("an id, or at least %d characters of its beginning or end", minShortLen))
	}
	ids, err := newest()
	if err != nil {
		return "", err
	}
	ids = slices.DeleteFunc(ids, func(id string) bool { return !strings.HasPrefix(id, word) && !strings.HasSuffix(id, word) })
	switch len(ids) {
	case 1:
		return ids[0], nil
	case 0:
		return "", fail(fmt.Errorf("no %s among the newest %d has an id like %q", what, admin.MaxLimit, word), "give the whole id to find an older one")
	}
	return "", fail(fmt.Errorf("%d ids of a %s are like %q", len(ids), what, word), "they are "+strings.Join(ids[:min(len(ids), 3)], ", ")+more(len(ids)-3))
}

func more(n int) string {
	if n <= 0 {
		return ""
	}
	return fmt.Sprintf(" and %d more", n)
}
