package sender

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"strconv"
	"testing"
	"time"
)

// TestClient_EachLimitIsWaitedForAsItsAPISays, by the API's clock, which is not ours.
func TestClient_EachLimitIsWaitedForAsItsAPISays(t *testing.T) {
	const ahead = 3 * time.Hour
	theirs := func(in time.Duration) time.Time { return time.Now().Add(ahead + in) }
	for name, tt := range map[string]struct {
		status int
		header map[string]string
		body   string
		want   time.Duration // -1: it is no limit's
	}{
		"seconds":                           {429, map[string]string{"Retry-After": "42"}, "", 42 * time.Second},
		"a date":                            {429, map[string]string{"Retry-After": theirs(50 * time.Second).UTC().Format(http.TimeFormat)}, "", 50 * time.Second},
		"a date that is over":               {429, map[string]string{"Retry-After": theirs(-time.Minute).UTC().Format(http.TimeFormat)}, "", 0},
		"GitHub, primary":                   {403, map[string]string{"X-RateLimit-Remaining": "0", "X-RateLimit-Reset": strconv.FormatInt(theirs(30*time.Second).Unix(), 10)}, "", 31 * time.Second},
		"GitHub, secondary, seconds":        {403, map[string]string{"Retry-After": "60", "X-RateLimit-Remaining": "4000"}, "", time.Minute},
		"GitHub, secondary, words alone":    {403, nil, `{"message":"You have exceeded a secondary rate limit. Please wait a few minutes before you try again."}`, time.Minute},
		"GitHub, secondary, as 429":         {429, nil, `{"message":"You have exceeded a secondary rate limit."}`, time.Minute},
		"GitHub, not allowed":               {403, map[string]string{"X-RateLimit-Remaining": "4000"}, `{"message":"Resource not accessible by integration"}`, -1},
		"GitLab":                            {429, map[string]string{"RateLimit-Remaining": "0", "RateLimit-Reset": strconv.FormatInt(theirs(20*time.Second).Unix(), 10)}, "Retry later\n", 21 * time.Second},
		"Stripe says nothing":               {429, nil, `{"error":{"code":"rate_limit","message":"Too many requests"}}`, firstPause},
		"a reset that something remains of": {429, map[string]string{"X-RateLimit-Remaining": "7", "X-RateLimit-Reset": "9999999999"}, "", firstPause},
	} {
		t.Run(name, func(t *testing.T) {
			asked := 0
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("Date", theirs(0).UTC().Format(http.TimeFormat))
				if asked++; asked > 1 {
					return
				}
				for k, v := range tt.header {
					w.Header().Set(k, v)
				}
				w.WriteHeader(tt.status)
				_, _ = w.Write([]byte(tt.body))
			}))
			defer server.Close()
			c := newClient(kinds["github"], Options{URL: server.URL, Token: "token-of-the-test"})
			waited := time.Duration(-1)
			c.pause = func(_ context.Context, d time.Duration) error { waited = d; return nil }
			_, err := c.do(t.Context(), call{method: http.MethodPost, path: "/"}) // it was not taken: also what writes is sent again
			if tt.want < 0 {
				if err == nil || asked != 1 {
					t.Errorf("asked %d times, %v", asked, err)
				}
				return
			}
			if off := (waited - tt.want).Abs(); err != nil || asked != 2 || off > 2*time.Second {
				t.Errorf("waited %s, not %s; asked %d times, %v", waited, tt.want, asked, err)
			}
			asked, c.patience = 0, time.Millisecond
			var busy *BusyError
			if _, err := c.do(t.Context(), call{method: http.MethodGet, path: "/"}); tt.want > 2*time.Second && !errors.As(err, &busy) {
				t.Errorf("without patience: %v", err)
			}
		})
	}
}
