package verify

import (
	"encoding/json"
	"testing"
)

func TestSetField(t *testing.T) {
	const form = "Content-Type: application/x-www-form-urlencoded"
	for _, tt := range []struct {
		name, body, path, want string
		headers                []string
		err                    string
	}{
		{name: "replaced, the rest as it was", body: `{ "a": 1.0, "id" : "x",  "b":[1] }`, path: "id", want: `{ "a": 1.0, "id" : "new",  "b":[1] }`},
		{name: "of another type", body: `{"id":{"x":[1]}}`, path: "id", want: `{"id":"new"}`},
		{name: "added", body: `{"a":1}`, path: "id", want: `{"id":"new","a":1}`},
		{name: "added to nothing", body: `{}`, path: "id", want: `{"id":"new"}`},
		{name: "nested", body: `{"event":{"type":"x","n":1}}`, path: "event.type", want: `{"event":{"type":"new","n":1}}`},
		{name: "nested, added", body: `{"event":{"n":1}}`, path: "event.type", want: `{"event":{"type":"new","n":1}}`},
		{name: "nested in nothing", body: `{"n":1}`, path: "event.type", want: `{"event":{"type":"new"},"n":1}`},
		{name: "nested in text", body: `{"event":"x"}`, path: "event.type", err: "set field event.type: body is not a JSON object"},
		{name: "a list", body: `[1]`, path: "id", err: "set field id: body is not a JSON object"},
		{name: "nothing", body: ``, path: "id", err: "set field id: body is not a JSON object"},
		{name: "cut off", body: `{"a":`, path: "id", err: "set field id: body is not JSON"},
		{name: "a form", body: "a=1&id=x", path: "id", headers: []string{form}, want: "a=1&id=new"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r := post(tt.body, tt.headers...)
			err := SetField(r, tt.path, "new")
			wantError(t, err, tt.err)
			if err == nil && string(r.Body) != tt.want {
				t.Errorf("body is %s, want %s", r.Body, tt.want)
			}
		})
	}
}

func FuzzSetField(f *testing.F) {
	f.Add(`{"a":{"b":1}}`, "a.b", "x")
	f.Add(`{"a"`, "", "\x00\"")
	f.Fuzz(func(t *testing.T, body, path, value string) {
		r := post(body)
		if SetField(r, path, value) == nil && json.Valid([]byte(body)) && !json.Valid(r.Body) {
			t.Errorf("%s became %s", body, r.Body)
		}
	})
}
