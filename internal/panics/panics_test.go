package panics

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

func TestServe_APanicIsToldAndAnswered(t *testing.T) {
	var none []int
	for _, tt := range []struct {
		name    string
		serve   http.HandlerFunc
		told    string // what the panic's text begins with; "": nothing is told
		status  int    // 0: the connection is cut
		content string
	}{
		{"no panic", func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "fine") }, "", 200, "fine"},
		{"the runtime's own", func(http.ResponseWriter, *http.Request) { none[3]++ }, "runtime error: index out of range [3]", 500, "sorry"},
		{"a value of a payload", func(http.ResponseWriter, *http.Request) { panic("s3cret") }, "a value of type string", 500, "sorry"},
		{"after the answer began", func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(200)
			panic("s3cret")
		}, "a value of type string", 0, ""},
		{"on purpose", func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }, "", 0, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var told []Panic
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				Serve(w, r, tt.serve, func(p Panic) { told = append(told, p) }, func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "sorry", 500) })
			}))
			defer server.Close()
			response, err := server.Client().Get(server.URL)
			if tt.status == 0 {
				if err == nil {
					_ = response.Body.Close()
					t.Errorf("answered %s", response.Status)
				}
			} else {
				if err != nil {
					t.Fatal(err)
				}
				body, _ := io.ReadAll(response.Body)
				_ = response.Body.Close()
				if response.StatusCode != tt.status || strings.TrimSpace(string(body)) != tt.content {
					t.Errorf("answered %s %s", response.Status, body)
				}
			}
			server.Close() // the handler is over
			switch {
			case tt.told == "" && len(told) > 0:
				t.Errorf("told of %+v", told)
			case tt.told == "":
			case len(told) != 1 || !strings.HasPrefix(told[0].Text, tt.told) || !strings.Contains(told[0].Stack, "panics_test.go") || len(told[0].Stack) > mostStack:
				t.Errorf("told %+v", told)
			}
		})
	}
}

func TestServe_AStackIsBounded(t *testing.T) {
	var dig func(n int)
	dig = func(n int) {
		if n == 0 {
			panic("bottom")
		}
		dig(n - 1)
	}
	var told Panic
	Serve(httptest.NewRecorder(), httptest.NewRequest("GET", "/", nil), func(http.ResponseWriter, *http.Request) { dig(500) },
		func(p Panic) { told = p }, func(http.ResponseWriter, *http.Request) {})
	if n := len(told.Stack); n == 0 || n > mostStack {
		t.Errorf("a stack of %d bytes", n)
	}
}

// TestPlain_ABodyThatIsTooLargeEndsItsConnection holds Plain to what it is for.
func TestPlain_ABodyThatIsTooLargeEndsItsConnection(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		Serve(w, r, func(w http.ResponseWriter, r *http.Request) {
			_, _ = io.ReadAll(http.MaxBytesReader(Plain(w), r.Body, 10))
		}, func(Panic) {}, nil)
	}))
	defer server.Close()
	response, err := server.Client().Post(server.URL, "text/plain", strings.NewReader(strings.Repeat("a", 1000)))
	if err != nil {
		t.Fatal(err)
	}
	_ = response.Body.Close()
	if !response.Close {
		t.Error("the connection was kept")
	}
}
