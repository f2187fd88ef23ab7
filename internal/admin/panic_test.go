package admin

import (
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

// faulty panics when it is asked for its hooks.
type faulty struct{ *fake }

func (faulty) Hooks() []HookInfo { panic("a payload's s3cret") }

func TestAPI_APanicIsAProblemAndOneLineOfTheLog(t *testing.T) {
	log, panicked := &lockedBuffer{}, 0
	h := Handler(faulty{sample()}, Options{
		Listen: "127.0.0.1:0", Token: []byte("token-of-the-test"), Log: slog.New(slog.NewTextHandler(log, nil)), Panicked: func() { panicked++ },
	})
	server := httptest.NewUnstartedServer(h)
	server.Config = NewServer(h, nil)
	server.Start()
	defer server.Close()
	for path, want := range map[string]int{"hooks": http.StatusInternalServerError, "status": http.StatusOK} {
		r, err := http.NewRequest("GET", server.URL+"/api/v1/"+path, nil)
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Authorization", "Bearer token-of-the-test")
		answer, err := server.Client().Do(r)
		if err != nil {
			t.Fatal(err)
		}
		body, _ := io.ReadAll(answer.Body)
		_ = answer.Body.Close()
		if answer.StatusCode != want {
			t.Errorf("%s: %s %s", path, answer.Status, body)
		}
		if want == http.StatusInternalServerError && (answer.Header.Get("Content-Type") != "application/problem+json" || strings.Contains(string(body), "s3cret")) {
			t.Errorf("%s: %v %s", path, answer.Header, body)
		}
	}
	said := log.String()
	if panicked != 1 || strings.Count(said, "level=ERROR") != 1 || !strings.Contains(said, "panic_test.go") || strings.Contains(said, "s3cret") {
		t.Errorf("%d counted; want one line with the stack and without the value: %s", panicked, said)
	}
}
