package admin

import (
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/tenterhook/tenterhook/internal/store"
)

func TestSearch_SaysHowFarItCame(t *testing.T) {
	d := open(t, sample(), Options{Token: []byte("t0ken")})
	c := NewClient(d.addr, "t0ken")
	defer c.Close()
	page, err := c.Search(t.Context(), store.Filter{Hook: "site", Limit: 1}, Search{Match: "event == \"ü\"", Grep: "a&b"})
	if err != nil {
		t.Fatal(err)
	}
	ids := []string{}
	for _, d := range page.Deliveries {
		ids = append(ids, d.ID)
	}
	if !cmp.Equal(ids, []string{page.Next}) || page.Scanned != 7 || page.Total != 9 || page.Failed != 1 || page.Failure != "ü is no number" {
		t.Errorf("got %+v", page)
	}
	got := d.ask("GET", prefix+"deliveries?limit=1&grep=x%26y", "Authorization: Bearer t0ken")
	if want := "<" + prefix + "deliveries?cursor=" + page.Next + `&grep=x%26y&limit=1>; rel="next"`; got.header.Get("Link") != want {
		t.Errorf("Link %q, want %q", got.header.Get("Link"), want)
	}
}

func TestSearch_AWrongConditionComesBackWithItsPlace(t *testing.T) {
	d := open(t, sample(), Options{Token: []byte("t0ken")})
	c := NewClient(d.addr, "t0ken")
	defer c.Close()
	_, err := c.Search(t.Context(), store.Filter{}, Search{Match: "brnch"})
	var bad *MatchError
	if !errors.As(err, &bad) {
		t.Fatal(err)
	}
	if diff := cmp.Diff(&MatchError{Source: "brnch", Message: "unknown name", Width: 5, Hints: []string{"branch"}}, bad); diff != "" {
		t.Error(diff)
	}
	if got := d.ask("GET", prefix+"deliveries?match=brnch", "Authorization: Bearer t0ken"); got.status != 400 {
		t.Errorf("status %d", got.status)
	}
}
