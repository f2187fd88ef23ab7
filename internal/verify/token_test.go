package verify

import (
	"encoding/base64"
	"strings"
	"testing"

	"github.com/tenterhook/tenterhook/internal/request"
)

func token(headers ...string) *Token { return &Token{Source: Source{Header: headers}} }

func TestToken(t *testing.T) {
	withQuery := func(q string) *request.Request { r := post(""); r.RawQuery = q; return r }
	for _, tt := range []struct {
		name string
		v    *Token
		r    *request.Request
		want string
	}{
		{"header", token("X-Token"), post("", "X-Token: key"), ""},
		{"wrong", token("X-Token"), post("", "X-Token: kez"), "token does not match"},
		{"shorter", token("X-Token"), post("", "X-Token: ke"), "token does not match"},
		{"longer", token("X-Token"), post("", "X-Token: key "), "token does not match"},
		{"other case", token("X-Token"), post("", "X-Token: KEY"), "token does not match"},
		{"empty", token("X-Token"), post("", "X-Token: "), "header X-Token is empty"},
		{"missing", token("X-Token"), post(""), "header X-Token is missing"},
		{"missing from a list", token("X-New", "X-Old"), post(""), "none of the headers X-New, X-Old is there"},
		{"twice", token("X-Token"), post("", "X-Token: key", "X-Token: key"), "header X-Token was sent more than once"},
		{"long", token("X-Token"), post("", "X-Token: "+strings.Repeat("k", 4097)), "header X-Token is longer than 4096 bytes"},
		{"the first that is there counts", token("X-New", "X-Old"), post("", "X-Old: key", "X-New: wrong"), "token does not match"},
		{"query", &Token{Source{Query: "token"}}, withQuery("token=key"), ""},
		{"query, missing", &Token{Source{Query: "token"}}, withQuery("tokens=key"), "query parameter token is missing"},
		{"query, twice", &Token{Source{Query: "token"}}, withQuery("token=key&token=key"), "query parameter token was sent more than once"},
		{"field", &Token{Source{Field: "auth.token"}}, post(`{"auth":{"token":"key"}}`), ""},
		{"field of a list", &Token{Source{Field: "value.0.clientState"}}, post(`{"value":[{"clientState":"key"}]}`), ""},
		{"field, missing", &Token{Source{Field: "auth.token"}}, post(`{"auth":[]}`), "field auth.token is missing"},
		{"field of another type", &Token{Source{Field: "auth"}}, post(`{"auth":true}`), "field auth is neither text nor a whole number"},
		{"field, empty body", &Token{Source{Field: "auth"}}, post(""), "field auth is missing"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			secret, err := tt.v.Verify(tt.r, secrets("other", "key"), now)
			wantError(t, err, tt.want)
			if err == nil && secret != 1 {
				t.Errorf("secret %d matched, want 1", secret)
			}
		})
	}
	secret, err := token("X-Token").Verify(post("", "X-Token: key"), secrets("other", "key", "key"), now)
	wantError(t, err, "")
	if secret != 1 {
		t.Errorf("secret %d matched, want the first that does", secret)
	}
	_, err = token("X-Token").Verify(post("", "X-Token: key"), secrets("", ""), now)
	wantError(t, err, "no secret is configured")
}

func TestToken_SignThenVerify(t *testing.T) {
	form := post("a=1", "Content-Type: application/x-www-form-urlencoded")
	for name, tt := range map[string]struct {
		v Verifier
		r *request.Request
	}{
		"header":         {token("X-Token", "X-Other"), post("", "X-Other: stale")},
		"query":          {&Token{Source{Query: "token"}}, post("")},
		"field":          {&Token{Source{Field: "auth.token"}}, post(`{"auth":{"token":"old","x":1}}`)},
		"field of form":  {&Token{Source{Field: "token"}}, form},
		"field, missing": {&Token{Source{Field: "auth.token"}}, post(`{}`)},
		"bearer":         {&Bearer{}, post("")},
		"basic":          {&Basic{Username: "hooks"}, post("")},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := tt.r.Payload() // what was parsed before must not be believed after
			if err != nil {
				t.Fatal(err)
			}
			signed(t, tt.v, tt.r, "key")
			_, err = tt.v.Verify(tt.r, secrets("key"), now)
			wantError(t, err, "")
			if err := tt.v.Sign(tt.r, nil, now); err == nil {
				t.Error("signed with an empty secret")
			}
		})
	}
}

func TestToken_CheckSecret(t *testing.T) {
	wantError(t, token("X-Token").CheckSecret([]byte("two\nlines")), "the secret has a line break or control character, which a header cannot carry")
	wantError(t, token("X-Token").CheckSecret([]byte("key ")), "the secret begins or ends with a space, which a header cannot carry")
	wantError(t, token("X-Token").CheckSecret([]byte("naïve key")), "")
	wantError(t, (&Token{Source{Query: "token"}}).CheckSecret([]byte(" key\n")), "")
}

func TestBearer(t *testing.T) {
	const unreadable = "header Authorization is not Bearer and a value"
	for name, tt := range map[string]struct{ value, want string }{
		"right":            {"Bearer key", ""},
		"scheme's case":    {"bEARER key", ""},
		"more spaces":      {"Bearer   key", ""},
		"wrong":            {"Bearer kez", "token does not match"},
		"another scheme":   {"Basic key", unreadable},
		"token alone":      {"key", unreadable},
		"scheme alone":     {"Bearer", unreadable},
		"scheme and space": {"Bearer ", unreadable},
		"no space":         {"Bearerkey", unreadable},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := (&Bearer{}).Verify(post("", "Authorization: "+tt.value), secrets("key"), now)
			wantError(t, err, tt.want)
		})
	}
}

func TestBasic(t *testing.T) {
	const unreadable, mismatch = "header Authorization is not readable as user and password", "user or password does not match"
	encode := func(s string) string { return "Basic " + base64.StdEncoding.EncodeToString([]byte(s)) }
	for name, tt := range map[string]struct{ value, want string }{
		"right":                {encode("hooks:k:ey"), ""},
		"wrong password":       {encode("hooks:k:ez"), mismatch},
		"wrong user":           {encode("hook:k:ey"), mismatch},
		"no password":          {encode("hooks:"), mismatch},
		"no user":              {encode(":k:ey"), mismatch},
		"no colon":             {encode("hooks"), unreadable},
		"not base64":           {"Basic hooks:key", unreadable},
		"not encoded strictly": {encode("hooks:k:ey") + "\n", unreadable},
		"another scheme":       {"Bearer " + encode("hooks:k:ey")[6:], "header Authorization is not Basic and a value"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := (&Basic{Username: "hooks"}).Verify(post("", "Authorization: "+tt.value), secrets("k:ey"), now)
			wantError(t, err, tt.want)
		})
	}
	_, err := (&Basic{Username: "hooks"}).Verify(post("", "Authorization: "+encode("hooks:")), secrets(""), now)
	wantError(t, err, "no secret is configured")
	_, err = (&Basic{Username: "hooks"}).Verify(post("", "Authorization: "+encode("hooks:")), secrets("", "key"), now)
	wantError(t, err, mismatch)
	wantProblems(t, (&Basic{}).Check(), []string{"username: username is empty"})
	wantProblems(t, (&Basic{Username: "a:b"}).Check(), []string{"username: username cannot hold a colon: basic authentication ends it there"})
}

func FuzzBasic_Header(f *testing.F) {
	f.Add("Basic aG9va3M6a2V5")
	f.Fuzz(func(t *testing.T, value string) {
		if _, err := (&Basic{Username: "hooks"}).Verify(post("", "Authorization: "+value), secrets("a secret nobody knows"), now); err == nil {
			t.Errorf("%q verifies", value)
		}
	})
}

func TestKinds_AreCompleteAndSafeByDefault(t *testing.T) {
	var names []string
	for _, k := range Kinds() {
		names = append(names, k.Name)
		v := k.New()
		if k.Doc == "" {
			t.Errorf("%s has no Doc", k.Name)
		}
		if v.NeedsSecret() == (k.Name == "none" || k.Name == "mtls") {
			t.Errorf("%s: NeedsSecret is %t", k.Name, v.NeedsSecret())
		}
		if _, err := v.Verify(post("{}"), secrets("key"), now); (err == nil) != (k.Name == "none") {
			t.Errorf("%s: an unsigned request: %v", k.Name, err)
		}
		if found, ok := Lookup(k.Name); !ok || found.Name != k.Name {
			t.Errorf("Lookup(%q) found %q, %t", k.Name, found.Name, ok)
		}
	}
	if got := strings.Join(names, " "); got != "basic bearer digest ecdsa ed25519 hmac jwt mtls none token" {
		t.Errorf("schemes are %s", got)
	}
	if _, ok := Lookup("HMAC"); ok {
		t.Error("a scheme was found by another case")
	}
}
