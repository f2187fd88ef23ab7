package adnanh

import (
	"encoding/json"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/tenterhook/tenterhook/internal/migrate"
)

// imported is a hooks file as the hooks.yaml it becomes, without its head, and what was said.
func imported(t *testing.T, src string, o Options) (text string, notes []string) {
	t.Helper()
	if o.Prefix == "" {
		o.Prefix = "hooks"
	}
	doc, found := Import("hooks.yaml", []byte(src), o)
	for _, n := range found {
		notes = append(notes, strings.TrimSpace(n.Pos.String()+" "+n.Message+" "+strings.Join(n.Hints, " ")))
	}
	if doc == nil {
		return "", notes
	}
	_, text, _ = strings.Cut(string(doc.Bytes()), "hooks:")
	return strings.TrimSpace(text), notes
}

// TestRead_SeesScalarsAsThePeerDoes goes through the peer's own reading of YAML 1.1: what it
// loads, what it refuses, and the text it makes of a scalar.
func TestRead_SeesScalarsAsThePeerDoes(t *testing.T) {
	var data struct {
		Cases []struct {
			Name, YAML    string
			Loads         bool
			Value, Secret *string
		} `json:"config_cases"`
	}
	src, err := os.ReadFile("testdata/cases.json")
	if err == nil {
		err = json.Unmarshal(src, &data)
	}
	if err != nil || len(data.Cases) < 50 {
		t.Fatalf("%d cases, %v", len(data.Cases), err)
	}
	for _, c := range data.Cases {
		t.Run(c.Name, func(t *testing.T) {
			notes := &migrate.Notes{File: "hooks.yaml"}
			var hooks []*peerHook
			if root := parse([]byte(c.YAML), notes); root != nil {
				hooks = readHooks(root, notes)
			}
			if notes.Failed() == c.Loads {
				t.Fatalf("loads: %v, the peer: %v: %v", !notes.Failed(), c.Loads, notes.List)
			}
			if !c.Loads || len(hooks) == 0 || hooks[0].rule == nil {
				return
			}
			if got := hooks[0].rule.match; c.Value != nil && got.value != *c.Value || c.Secret != nil && got.secret != *c.Secret {
				t.Errorf("value %q secret %q", got.value, got.secret)
			}
		})
	}
}

func TestImport_WritesWhatAPersonWould(t *testing.T) {
	for _, tt := range []struct {
		name, src, want string
		notes           []string // parts of what is said, in order
		options         Options
	}{
		{
			name: "a push to GitHub",
			src: `
- id: site
  execute-command: deploy.sh
  command-working-directory: /srv/site
  http-methods: [POST]
  pass-arguments-to-command:
    - {source: payload, name: head_commit.id}
  pass-environment-to-command:
    - {source: payload, name: pusher.name, envname: PUSHER}
  trigger-rule:
    and:
      - match: {type: payload-hmac-sha256, secret: s3cret, parameter: {source: header, name: X-Hub-Signature-256}}
      - match: {type: value, value: refs/heads/main, parameter: {source: payload, name: ref}}
      - match: {type: value, value: push, parameter: {source: header, name: X-GitHub-Event}}
      - not:
          match: {type: regex, regex: '\[skip\]', parameter: {source: payload, name: head_commit.message}}
`,
			want: `
  - name: site
    path: /hooks/site
    provider: github
    secret: s3cret
    match: >-
      payload.ref == "refs/heads/main"
      && event == "push"
      && payload.head_commit.message != nil
      && !(payload.head_commit.message matches ` + "`\\[skip\\]`" + `)
    exec: [./deploy.sh, "${{ payload.head_commit.id }}"]
    dir: /srv/site
    env: {PUSHER: "${{ payload.pusher.name }}"}`,
		},
		{
			name: "a token, an address, and an answer",
			src: `
- id: team/ci
  execute-command: /bin/true
  response-message: thanks
  response-headers: [{name: X-Out, value: "1"}]
  trigger-rule-mismatch-http-response-code: 403
  trigger-rule:
    and:
      - match: {type: value, value: 0123456789abcdef, parameter: {source: url, name: token}}
      - match: {type: ip-whitelist, ip-range: "192.168.0.1/24 10.0.0.1"}
      - match: {type: value, value: 5, parameter: {source: payload, name: count}}
`,
			want: `
  - name: team-ci
    path: /hooks/team/ci
    methods: [POST, GET, PUT, PATCH, DELETE, HEAD, OPTIONS]  # any, as before; keep what the sender uses
    verify: {scheme: token, query: token}
    secret: "0123456789abcdef"
    allow_ips: [192.168.0.0/24, 10.0.0.1/32]
    dedupe: none  # a request that comes twice runs twice, as before
    respond:
      status: 200
      headers: {X-Out: "1"}
      body: thanks
      ignored: {status: 403, headers: {}, body: Hook rules were not satisfied.}
    match: text(payload.count) == "5"
    exec: [/bin/true]`,
			notes: []string{"is a token now"},
		},
		{
			name: "two secrets, and the output as the answer",
			src: `
- id: a
  execute-command: date
  http-methods: [post]
  include-command-output-in-response: true
  trigger-signature-soft-failures: true
  trigger-rule:
    or:
      - match: {type: payload-hmac-sha512, secret: old, parameter: {source: header, name: X-Sig}}
      - match: {type: payload-hash-sha512, secret: new, parameter: {source: header, name: X-Sig}}
`,
			want: `
  - name: a
    path: /hooks/a
    verify: {scheme: hmac, hash: sha512, header: X-Sig}
    secret: [old, new]
    dedupe: none  # a request that comes twice runs twice, as before
    respond:
      wait: 60s
      failed: {body: "Error occurred while executing the hook's command. Please check your logs for more details."}
    exec: [date]`,
			notes: []string{"the answer waits 60s"},
		},
		{
			name: "the same signature in each branch",
			src: `
- id: a
  execute-command: date
  http-methods: [POST]
  trigger-rule:
    or:
      - and:
          - match: {type: payload-hmac-sha256, secret: k, parameter: {source: header, name: X-Gitea-Signature}}
          - match: {type: value, value: push, parameter: {source: header, name: X-Gitea-Event}}
      - and:
          - match: {type: payload-hmac-sha256, secret: k, parameter: {source: header, name: X-Gitea-Signature}}
          - match: {type: value, value: main, parameter: {source: payload, name: ref}}
          - match: {type: value, value: x, parameter: {source: payload, name: repository.name}}
`,
			want: `
  - name: a
    path: /hooks/a
    provider: gitea
    secret: k
    match: header("X-Gitea-Event") == "push" || (payload.ref == "main" && payload.repository.name == "x")
    exec: [date]`,
		},
		{
			name: "two kinds of signature",
			src: `
- id: a
  execute-command: date
  http-methods: [POST]
  trigger-rule:
    and:
      - or:
          - match: {type: payload-hmac-sha1, secret: a, parameter: {source: header, name: X-Old}}
          - match: {type: payload-hmac-sha256, secret: b, parameter: {source: header, name: X-New}}
      - match: {type: value, value: Bearer c, parameter: {source: header, name: Authorization}}
  trigger-signature-soft-failures: true
`,
			want: `
  - name: a
    path: /hooks/a
    verify:
      all:
        - any:
            - {scheme: hmac, hash: sha1, header: X-Old, secret: a}
            - {scheme: hmac, hash: sha256, header: X-New, secret: b}
        - {scheme: bearer, secret: c}
    dedupe: none  # a request that comes twice runs twice, as before
    exec: [date]`,
		},
		{
			name: "nobody proves anything",
			src:  `[{"id": "open", "execute-command": "date", "http-methods": ["POST"], "incoming-payload-content-type": "application/json", }]`,
			want: `
  - name: open
    path: /hooks/open
    verify: none  # anyone who reaches it starts it, as before
    public: true  # without it, verify: none is refused where other machines can call
    parse: json
    dedupe: none  # a request that comes twice runs twice, as before
    exec: [date]`,
			notes:   []string{"anyone who reaches it starts it"},
			options: Options{Exposed: true},
		},
		{
			name: "files, constants and what is parsed",
			src: `
- id: a
  execute-command: date
  http-methods: [POST, PURGE]
  parse-parameters-as-json: [{source: payload, name: payload}, {source: header, name: X-Meta}]
  pass-arguments-to-command:
    - {source: string, name: "$5 ${x} ${{y}}"}
    - {source: payload, name: payload.a.0.b-c}
    - {source: header, name: X-Meta.k}
    - {source: nowhere, name: z}
    - {source: entire-payload}
  pass-environment-to-command:
    - {source: payload, name: name, envname: HOOK_NAME}
    - {source: payload, name: sha, envname: GIT_COMMIT}
    - {source: payload, name: "a b"}
    - {source: payload, name: x.y}
  pass-file-to-command:
    - {source: payload, name: data, base64decode: true}
    - {source: raw-request-body, envname: RAW}
  trigger-rule: {match: {type: payload-hmac-sha256, secret: k, parameter: {source: header, name: X-Sig}}}
`,
			want: `
  - name: a
    path: /hooks/a
    verify: {scheme: hmac, hash: sha256, header: X-Sig}
    secret: k
    dedupe: none  # a request that comes twice runs twice, as before
    let: {data: fromJSON(form.payload ?? payload.payload), X_Meta: 'fromJSON(header("X-Meta"), header("X-Meta"))'}
    exec:
      - date
      - '$5 $${x} ${{ "$" }}{{y}}'
      - '${{ text(data.a[0]["b-c"]) }}'
      - "${{ text(X_Meta.k) }}"
      - ""
      - "${{ text(payload) }}"
    env:
      PEER_HOOK_NAME: "${{ payload.name }}"  # was HOOK_NAME
      HOOK_GIT_COMMIT: "${{ payload.sha }}"  # was GIT_COMMIT
      HOOK_a_b: '${{ text(payload["a b"]) }}'  # was HOOK_a b
      HOOK_x.y: "${{ text(payload.x.y) }}"
    files: {HOOK_DATA: "${{ fromBase64(text(payload.data)) }}", RAW: "${{ body }}"}`,
			notes: []string{"PURGE", `source "nowhere"`, "HOOK_NAME is PEER_HOOK_NAME now", "GIT_COMMIT is HOOK_GIT_COMMIT now", "HOOK_a b is HOOK_a_b now", "no shell can read"},
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got, notes := imported(t, tt.src, tt.options)
			if diff := cmp.Diff(strings.TrimSpace(tt.want), got); diff != "" {
				t.Errorf("want -, got +:\n%s", diff)
			}
			for i := range max(len(notes), len(tt.notes)) {
				if i >= len(notes) || i >= len(tt.notes) || !strings.Contains(notes[i], tt.notes[i]) {
					t.Fatalf("said:\n%s\nwant:\n%s", strings.Join(notes, "\n"), strings.Join(tt.notes, "\n"))
				}
			}
		})
	}
}

func TestImport_WhatCannotBeSaidIsACommentAndAWarning(t *testing.T) {
	const secret = "never-shown-0123456789"
	signature := `{match: {type: payload-hmac-sha256, secret: ` + secret + `, parameter: {source: header, name: X-Sig}}}`
	for name, tt := range map[string]struct{ rule, why string }{
		"a way around the signature":   {`{or: [` + signature + `, {match: {type: ip-whitelist, ip-range: 10.0.0.1}}]}`, "one of several ways in"},
		"a signature that must not be": {`{and: [{not: ` + signature + `}]}`, "lets in who signs wrong"},
		"a pattern that is none":       {`{match: {type: regex, regex: "*", parameter: {source: payload, name: a}}}`, "is not one"},
		"a network that is none":       {`{match: {type: ip-whitelist, ip-range: localhost}}`, "is no address"},
		"no secret":                    {`{match: {type: payload-hmac-sha1, parameter: {source: header, name: X}}}`, "has no secret"},
		"a signature in the body":      {`{match: {type: payload-hmac-sha1, secret: ` + secret + `, parameter: {source: payload, name: x}}}`, "cannot be checked"},
		"a source that is none":        {`{match: {type: value, value: x, parameter: {source: paylod, name: x}}}`, "has no source"},
	} {
		t.Run(name, func(t *testing.T) {
			got, notes := imported(t, "- id: fine\n  execute-command: date\n- id: odd\n  execute-command: date\n  trigger-rule: "+tt.rule+"\n", Options{})
			if !strings.Contains(strings.Join(notes, "\n"), `hook "odd" is not carried over`) || !strings.Contains(strings.Join(notes, "\n"), tt.why) {
				t.Errorf("said:\n%s", strings.Join(notes, "\n"))
			}
			if !strings.Contains(got, `# "odd" is not carried over: `) || !strings.Contains(got, "#     execute-command: date") || strings.Contains(got, "name: odd") || !strings.Contains(got, "name: fine") {
				t.Errorf("wrote:\n%s", got)
			}
			if strings.Contains(got+strings.Join(notes, ""), secret) {
				t.Errorf("a secret is in a comment:\n%s", got)
			}
		})
	}
}

func TestImport_SaysWhatIsWrongWithTheFileAndWhere(t *testing.T) {
	for src, want := range map[string]string{
		"id: a\nexecute-command: b\n":                      "hooks.yaml:1:1 expected a list of hooks, found a mapping put the hook into a list: - id: …",
		"- id: a\n  http-methods: POST\n":                  "hooks.yaml:2:17 http-methods is a list, found text",
		"- id: a\n  success-http-response-code: \"201\"\n": "hooks.yaml:2:31 success-http-response-code is a whole number, found text",
		"- id: a\n  pass-arguments-to-command: [a]\n":      "hooks.yaml:2:31 an element of pass-arguments-to-command is {source, name}, found text {source: string, name: …} is a constant",
		"- id: a\n  trigger-rule: {and: {match: {}}}\n":    "hooks.yaml:2:23 and is a list of rules, found a mapping",
		"- hook\n": "hooks.yaml:1:3 a hook is a mapping, found text",
		"[{\"id\": \"a\"\n// no\n, \"execute-command\": \"b\"}":            "comments begin with #",
		"- id: a\n  execute-command: b\n  trigger_rule: {and: []}\n":       `hooks.yaml:3:3 a hook has no key "trigger_rule": it never had an effect, and is left out was trigger-rule meant?`,
		"- id: a\n  execute-command: b\n  execute-command: c\n":            `hooks.yaml:3:3 "execute-command" is there twice`,
		"- id: a\n  execute-command: b\n- id: a\n  execute-command: c\n":   `another hook before it has the id "a"`,
		"- execute-command: b\n":                                           "it has no id",
		"- id: a b\n  execute-command: b\n":                                "its path /hooks/a b has a character",
		"- id: a\n  execute-command: b\n  success-http-response-code: 299": "299 is no status",
		"":                                  "the file has no hooks",
		"- id: a\n  execute-command: b c\n": "one program with blanks in its name",
		"- id: a\n  execute-command: date\n  trigger-rule: {match: {type: payload-hmac-sha1, secret: 0123456, parameter: {source: header, name: X}}}\n":                                "secret: without quotes it is a whole number in YAML",
		"- id: a\n  execute-command: date\n  trigger-rule-mismatch-http-response-code: 400\n  trigger-rule: {match: {type: value, value: s, parameter: {source: url, name: token}}}\n": "whoever may not gets 401, not 400",
		"- id: a\n": "it has no execute-command: it never ran anything",
		"- id: a\n  execute-command: date\n  pass-arguments-to-command: [{source: payload, name: n}]\n": `hooks.yaml:3:55 name: without quotes, n is "false" in YAML, to adnanh/webhook, too`,
	} {
		if _, notes := imported(t, src, Options{}); !strings.Contains(strings.Join(notes, "\n"), want) {
			t.Errorf("%q: said\n  %s\nwant\n  %s", src, strings.Join(notes, "\n  "), want)
		}
	}
}

func TestImport_TemplatesBecomeReferences(t *testing.T) {
	const file = `[{"id": "a", "execute-command": "date", "http-methods": ["POST"], {{/* a comment */}}
  "response-message": "{{ getenv "GREETING" | js }} costs $$5",
  "trigger-rule": {"or": [
    {"match": {"type": "payload-hmac-sha256", "secret": "{{ credential "hook" | js }}", "parameter": {"source": "header", "name": "X-Hub-Signature-256"}}},
    {"match": {"type": "payload-hmac-sha256", "secret": "{{ cat "/run/old" | js }}", "parameter": {"source": "header", "name": "X-Hub-Signature-256"}}}]},
  "trigger-signature-soft-failures": true}]`
	got, notes := imported(t, file, Options{Template: true})
	want := `- name: a
    path: /hooks/a
    provider: github
    secret: ["${credential:hook}", "${file:/run/old}"]
    respond: {status: 200, body: "${GREETING} costs $$$5"}
    exec: [date]`
	if diff := cmp.Diff(want, got); diff != "" || len(notes) > 0 {
		t.Errorf("want -, got +:\n%s%v", diff, notes)
	}
	if _, notes := imported(t, file, Options{}); len(notes) == 0 || !strings.Contains(strings.Join(notes, ""), "neither JSON nor YAML") {
		t.Errorf("without --template: %v", notes)
	}
	if _, notes := imported(t, "- id: a\n  execute-command: date\n  response-message: '{{ getenv `WHO` }}'\n", Options{}); len(notes) == 0 || !strings.Contains(strings.Join(notes, ""), "hooks.yaml:3:22 this looks like a template, and is taken as plain text --template") {
		t.Errorf("without --template, as plain text: %v", notes)
	}
	doc, found := Import("hooks.json", []byte("[\n{{ if true }}{\"id\": \"a\"}{{ end }}]"), Options{Template: true})
	if doc != nil || len(found) != 2 || found[0].Pos.Line != 2 || !strings.Contains(found[0].Message, "{{ if true }}") {
		t.Errorf("a template with logic: %v", found)
	}
}

func TestImport_TwoDocumentsOfOneKindAreTheSame(t *testing.T) {
	const asJSON = `[{"id":"a","execute-command":"date","trigger-rule":{"not":{"match":{"type":"value","value":"x","parameter":{"source":"payload","name":"a"}}}}}]`
	const asYAML = "- id: a\n  execute-command: date\n  trigger-rule:\n    not:\n      match: {type: value, value: x, parameter: {source: payload, name: a}}\n"
	fromJSON, _ := imported(t, asJSON, Options{})
	fromYAML, _ := imported(t, asYAML, Options{})
	if diff := cmp.Diff(fromJSON, fromYAML); diff != "" || !strings.Contains(fromJSON, `match: payload.a != "x"`) {
		t.Errorf("JSON -, YAML +:\n%s", diff)
	}
}

func TestImport_ARuleNestedBeyondReadingIsRefused(t *testing.T) {
	rule := "{match: {type: value, value: a, parameter: {source: payload, name: b}}}"
	for range 12 {
		rule = "{and: [{not: {and: [" + rule + ", " + "{match: {type: value, value: a, parameter: {source: payload, name: c}}}" + "]}}]}"
	}
	if _, notes := imported(t, "- id: a\n  execute-command: date\n  trigger-rule: "+rule+"\n", Options{}); !strings.Contains(strings.Join(notes, ""), "nested so deep") {
		t.Errorf("said %v", notes)
	}
}

// FuzzImport: whatever the file, the import ends, and what it writes has each hook once.
func FuzzImport(f *testing.F) {
	f.Add("- id: a\n  execute-command: b\n", false)
	f.Add(`[{"id":"a","trigger-rule":{"and":[{"or":[]},{"not":{}}]}}]`, true)
	f.Add("- &a {id: h, execute-command: x}\n- <<: *a\n  id: i\n", false)
	f.Add("- id: '{{ getenv \"X\" }}'\n", true)
	f.Fuzz(func(t *testing.T, src string, template bool) {
		doc, notes := Import("hooks.yaml", []byte(src), Options{Prefix: "hooks", Template: template})
		if doc == nil && len(notes) == 0 {
			t.Error("nothing was made, and nothing said")
		}
		if doc != nil {
			doc.Bytes()
		}
	})
}
