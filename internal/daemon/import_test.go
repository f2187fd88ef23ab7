package daemon_test

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha1" //nolint:gosec // as Scalr does
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/tenterhook/tenterhook/internal/config"
	"github.com/tenterhook/tenterhook/internal/hook"
	"github.com/tenterhook/tenterhook/internal/migrate"
	"github.com/tenterhook/tenterhook/internal/migrate/adnanh"
	"github.com/tenterhook/tenterhook/internal/store"
)

// The test program is the commands of the imported hooks, too, under two names: "echo" does what
// the peer's own test program does and writes down how it was called, "both" writes to both
// streams.
func init() {
	switch filepath.Base(os.Args[0]) {
	case "peer-echo":
		os.Exit(peerEcho())
	case "peer-both":
		fmt.Println("out")
		fmt.Fprintln(os.Stderr, "err")
		os.Exit(0)
	}
}

// called is how a command was called.
type called struct {
	Args  []string
	Env   map[string]string
	Files map[string][]byte // by variable
	Modes map[string]string
}

var ownVariables = []string{"HOOK_NAME", "HOOK_RULE", "HOOK_EVENT", "HOOK_DELIVERY", "HOOK_JOB", "HOOK_ATTEMPT", "HOOK_PAYLOAD_FILE", "PATH", "HOME", "USER", "LANG", "TZ", "PWD"}

func peerEcho() int {
	c := called{Args: os.Args[1:], Env: map[string]string{}, Files: map[string][]byte{}, Modes: map[string]string{}}
	var shown []string
	for _, pair := range os.Environ() {
		name, value, _ := strings.Cut(pair, "=")
		if slices.Contains(ownVariables, name) {
			continue
		}
		c.Env[name] = value
		if strings.HasPrefix(name, "HOOK_") {
			shown = append(shown, pair)
		}
		if info, err := os.Stat(value); err == nil && filepath.IsAbs(value) && info.Mode().IsRegular() {
			c.Files[name], _ = os.ReadFile(value)
			c.Modes[name] = fmt.Sprintf("%04o", info.Mode().Perm())
			c.Env[name] = "<temp file>"
		}
	}
	if len(c.Args) > 0 {
		fmt.Println("arg: " + strings.Join(c.Args, " "))
	}
	if len(shown) > 0 {
		fmt.Println("env: " + strings.Join(shown, " "))
	}
	record, err := json.Marshal(c)
	if err == nil {
		err = os.WriteFile(filepath.Join(filepath.Dir(os.Args[0]), "records", os.Getenv("HOOK_NAME")+"@"+os.Getenv("HOOK_JOB")), record, 0o600)
	}
	if err != nil {
		fmt.Println(err)
		return 99
	}
	code := 0
	if len(c.Args) > 0 {
		_, _ = fmt.Sscanf(c.Args[0], "exit=%d", &code)
	}
	return code
}

// peerCase is a case of testdata/cases.json, whose meta says what the fields are.
type peerCase struct {
	Name    string
	Hook    json.RawMessage
	Request struct {
		Method, Path string
		Headers      [][2]string
		Body         *string
		BodyB64      *string `json:"body_b64"`
		BodyGen      *struct {
			Prefix, Repeat, Suffix string
			Count                  int
		} `json:"body_gen"`
	}
	CLI    []string `json:"cli"`
	Expect struct {
		Status  int
		Body    *string
		Pattern *string           `json:"body_regex"`
		Started bool              `json:"command_started"`
		Args    []string          `json:"command_args"`
		Env     map[string]string `json:"env"`
		Files   map[string]struct {
			Content []byte `json:"content_b64"`
			Mode    string
		}
	}
}

func (c *peerCase) body() string {
	r := c.Request
	switch {
	case r.Body != nil:
		return *r.Body
	case r.BodyB64 != nil:
		b, _ := base64.StdEncoding.DecodeString(*r.BodyB64)
		return string(b)
	case r.BodyGen != nil:
		return r.BodyGen.Prefix + strings.Repeat(r.BodyGen.Repeat, r.BodyGen.Count) + r.BodyGen.Suffix
	}
	return ""
}

// peerFile is testdata/cases.json.
type peerFile struct {
	HTTP   []peerCase `json:"http_cases"`
	Probes []peerCase `json:"http_probes"`

	RuleCases   []peerRule `json:"rule_cases"`
	RuleDerived []peerRule `json:"rule_cases_derived"`
	RuleProbes  []peerRule `json:"rule_probes"`
	RuleRandom  []peerRule `json:"rule_random"`

	Scalr []struct {
		Name    string
		Offset  int               `json:"date_offset_seconds"`
		Good    *bool             `json:"good_signature"`
		Headers map[string]string // instead of a date and its signature
		Want    *bool
	} `json:"scalr_cases"`
}

const peerData = "../migrate/adnanh/testdata/"

func readPeerFile(t *testing.T) *peerFile {
	t.Helper()
	var f peerFile
	must(t, json.Unmarshal([]byte(read(t, peerData+"cases.json")), &f))
	return &f
}

// differences are the cases in which we differ on purpose: name → why. The test fails for one
// that is not listed, and for one that is listed and does not differ.
func differences(t *testing.T, file string) map[string]string {
	t.Helper()
	out := map[string]string{}
	for line := range strings.Lines(read(t, peerData+file)) {
		line = strings.TrimSpace(line)
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		name, why, ok := strings.Cut(line, " => ")
		if !ok || out[name] != "" {
			t.Fatalf("%s: a line is neither a comment nor NAME => WHY, or its name is there twice: %s", file, line)
		}
		out[name] = why
	}
	return out
}

// peerPlace is where the cases are played.
type peerPlace struct {
	t       *testing.T
	dir     string
	daemon  *running
	doc     migrate.Document
	refused map[string]string // hook, as it was imported → why it cannot be loaded
	names   map[string]string // hook, as it was imported → its name
	aside   map[string]string // hook, as it was imported → what its path begins with
}

func newPeerPlace(t *testing.T) *peerPlace {
	p := &peerPlace{t: t, dir: shortDir(t), refused: map[string]string{}, names: map[string]string{}, aside: map[string]string{}}
	exe, err := os.Executable()
	must(t, err)
	for _, name := range []string{"peer-echo", "peer-both"} {
		must(t, os.Symlink(exe, filepath.Join(p.dir, name)))
	}
	for _, folder := range []string{"records", "work", "temp"} {
		must(t, os.Mkdir(filepath.Join(p.dir, folder), 0o700))
	}
	must(t, os.Symlink(exe, filepath.Join(p.dir, "rec")))
	return p
}

// place fills the placeholders of the data.
func (p *peerPlace) place(s string) string {
	return strings.NewReplacer("{{ .Hookecho }}", p.dir+"/peer-echo", "{{ .BothStreams }}", p.dir+"/peer-both",
		"{{ .Workdir }}", p.dir+"/work", "{{ .TempDir }}", p.dir+"/temp", "{{ .DaemonDir }}", p.dir).Replace(s)
}

// add imports one hook. Hooks of two cases that are the same are one.
func (p *peerPlace) add(raw json.RawMessage, o adnanh.Options) (key string) {
	p.t.Helper()
	src := "[" + p.place(string(raw)) + "]"
	key = src + fmt.Sprint(o.Prefix, o.Methods, o.Headers)
	if p.names[key] != "" || p.refused[key] != "" {
		return key
	}
	doc, notes := adnanh.Import("hooks.json", []byte(src), o)
	if doc == nil || len(doc.Hooks) != 1 {
		p.refused[key] = fmt.Sprint(notes)
		return key
	}
	h := doc.Hooks[0]
	if h.Refused != "" {
		if len(notes) == 0 {
			p.t.Errorf("a hook was refused without a word: %s", src)
		}
		p.refused[key] = h.Refused
		return key
	}
	if slices.ContainsFunc(p.doc.Hooks, func(other migrate.Hook) bool { return other.Name == h.Name }) {
		p.aside[key] = "/aside" // the same hook with other flags
		h.Name += "-aside"
		h.Keys[0].Value = migrate.Text(h.Name)
		h.Keys[1].Value = migrate.Text("/aside" + string(h.Keys[1].Value.(migrate.Text)))
	}
	if problem := p.compile(h); problem != "" {
		p.refused[key] = problem
		return key
	}
	p.names[key] = h.Name
	p.doc.Hooks = append(p.doc.Hooks, h)
	return key
}

// compile says what keeps a hook from being loaded.
func (p *peerPlace) compile(h migrate.Hook) string {
	doc := migrate.Document{Hooks: []migrate.Hook{h}}
	file, d := config.Parse("hooks.yaml", doc.Bytes(), config.Options{Path: p.dir + "/hooks.yaml"})
	if file != nil {
		hook.Compile(file.Root.Find("hooks"), hook.Context{Dir: p.dir}, d)
	}
	if d.Err() == nil {
		return ""
	}
	return d.Error()
}

func (p *peerPlace) start() {
	must(p.t, os.WriteFile(p.dir+"/hooks.yaml", append([]byte(strings.Replace(header(p.dir), "drain: 10s", "drain: 10s, trusted_proxies: [127.0.0.1]", 1)), p.doc.Bytes()...), 0o600))
	p.daemon = startIn(p.t, p.dir)
}

// outcome is what became of a request.
type outcome struct {
	status int
	body   string
	calls  []called
}

// play sends a request and waits until nothing runs any more. Requests to one hook come one after
// the other.
func (p *peerPlace) play(name string, req *http.Request) (o outcome, err error) {
	client := &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	resp, err := client.Do(req)
	if err != nil {
		return o, err
	}
	defer func() { _ = resp.Body.Close() }()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		return o, err
	}
	o.status, o.body = resp.StatusCode, string(body)
	if name == "" {
		return o, nil
	}
	eventually(p.t, "the jobs of "+name+" to end", func() bool {
		jobs, _, err := p.daemon.client.Jobs(p.t.Context(), store.Filter{Hook: name, Limit: 500})
		must(p.t, err)
		for _, j := range jobs {
			if !j.State.Terminal() {
				return false
			}
		}
		return true
	})
	records, err := filepath.Glob(filepath.Join(p.dir, "records", name+"@*"))
	for _, r := range records {
		var c called
		if err := json.Unmarshal([]byte(read(p.t, r)), &c); err != nil {
			return o, err
		}
		o.calls = append(o.calls, c)
		_ = os.Remove(r)
	}
	return o, err
}

// peerOptions are the flags of a case.
func peerOptions(t *testing.T, flags []string) adnanh.Options {
	o := adnanh.Options{Prefix: "hooks"}
	for i := 0; i < len(flags); i++ {
		name, value, has := strings.Cut(flags[i], "=")
		if !has {
			i++
			value = flags[i]
		}
		switch name {
		case "-http-methods":
			for m := range strings.SplitSeq(value, ",") {
				o.Methods = append(o.Methods, strings.ToUpper(strings.TrimSpace(m)))
			}
		case "-header":
			o.Headers = append(o.Headers, value)
		case "-urlprefix":
			o.Prefix = value
		default:
			t.Fatalf("unknown flag %s", name)
		}
	}
	return o
}

// TestImport_AdnanhRequestsDoWhatTheyDid plays the peer's own requests, and the questions that
// were put to it, against the real daemon with the imported hooks. What must be the same is
// whether the command runs, with which arguments, variables and files; and the answer, where the
// hook says anything about it.
func TestImport_AdnanhRequestsDoWhatTheyDid(t *testing.T) {
	t.Parallel()
	data := readPeerFile(t)
	cases := slices.Concat(data.HTTP, data.Probes)
	p := newPeerPlace(t)
	keys := make([]string, len(cases))
	for i, c := range cases {
		keys[i] = p.add(c.Hook, peerOptions(t, c.CLI))
	}
	p.start()
	results := make([][]string, len(cases))
	byHook := map[string][]int{}
	for i := range cases {
		byHook[p.names[keys[i]]] = append(byHook[p.names[keys[i]]], i)
	}
	var all sync.WaitGroup
	slots := make(chan struct{}, 8)
	for name, list := range byHook {
		all.Go(func() {
			slots <- struct{}{}
			defer func() { <-slots }()
			for _, i := range list {
				results[i] = p.check(&cases[i], name, keys[i])
			}
		})
	}
	all.Wait()
	judge(t, "requests", "http-differences.txt", len(cases), func(i int) (string, []string) { return cases[i].Name, results[i] })
}

// check plays a case and returns in what it differs.
func (p *peerPlace) check(c *peerCase, name, key string) []string {
	if refused := p.refused[key]; refused != "" {
		if !c.Expect.Started && c.Expect.Status >= 400 {
			return nil // it failed at every request, and is refused when it is loaded
		}
		return []string{"refused: " + refused}
	}
	body := c.body()
	req, err := http.NewRequestWithContext(p.t.Context(), strings.ToUpper(c.Request.Method), p.daemon.url(p.aside[key]+c.Request.Path), strings.NewReader(body))
	must(p.t, err)
	for _, h := range c.Request.Headers {
		req.Header.Add(h[0], h[1])
	}
	o, err := p.play(name, req)
	if err != nil {
		return []string{err.Error()}
	}
	return slices.Concat(c.compareRun(p, o), c.compareAnswer(o))
}

func (c *peerCase) compareRun(p *peerPlace, o outcome) (diffs []string) {
	if c.Expect.Started != (len(o.calls) == 1) || len(o.calls) > 1 {
		return []string{fmt.Sprintf("started %d times, the peer: %v (answer %d %s)", len(o.calls), c.Expect.Started, o.status, o.body)}
	}
	if !c.Expect.Started {
		return nil
	}
	got := o.calls[0]
	if !slices.Equal(got.Args, c.Expect.Args) {
		diffs = append(diffs, fmt.Sprintf("arguments %q, the peer: %q", got.Args, c.Expect.Args))
	}
	if want := c.Expect.Env; !maps.Equal(got.Env, want) {
		diffs = append(diffs, fmt.Sprintf("environment %v, the peer: %v", got.Env, want))
	}
	for name, want := range c.Expect.Files {
		if !bytes.Equal(got.Files[name], want.Content) || !strings.HasSuffix(got.Modes[name], "00") {
			diffs = append(diffs, fmt.Sprintf("file %s %s %q, the peer: %s %q", name, got.Modes[name], got.Files[name], want.Mode, want.Content))
		}
	}
	return diffs
}

// compareAnswer compares the answers by what docs/migrating.md says about them.
func (c *peerCase) compareAnswer(o outcome) []string {
	const satisfied, evaluating = "Hook rules were not satisfied.", "Error occurred while evaluating hook rules."
	e, text := c.Expect, ""
	if e.Body != nil {
		text = *e.Body
	}
	var says struct{ Status, Error string }
	_ = json.Unmarshal([]byte(o.body), &says) // not every answer is JSON
	same := o.status == e.Status && (e.Body == nil || o.body == text || sortedLines(o.body) == sortedLines(text))
	if e.Pattern != nil && o.status == e.Status {
		same = regexp.MustCompile(*e.Pattern).MatchString(o.body)
	}
	ok := same
	switch {
	case same:
	case e.Status == 200 && e.Started && !bytes.Contains(c.Hook, []byte(`"response-message"`)):
		ok = o.status == 202 && says.Status == "accepted" // nobody said how to answer
	case e.Status == 405 || e.Status == 404:
		ok = o.status == e.Status
	case text == satisfied && e.Status == 200:
		ok = o.status == 200 && says.Status == "ignored" || o.status == 401 // or without any signature
	case text == satisfied:
		ok = o.status == e.Status && says.Status == "ignored" || o.status == 401
	case text == evaluating:
		ok = o.status == 401 || o.status == 200 && says.Status == "ignored"
	case e.Body == nil && e.Pattern == nil:
		ok = o.status == e.Status
	}
	if ok {
		return nil
	}
	return []string{fmt.Sprintf("answer %d %q, the peer: %d %q", o.status, o.body, e.Status, text)}
}

// sortedLines are lines whose words may come in any order: those of an environment.
func sortedLines(s string) string {
	var out []string
	for line := range strings.Lines(s) {
		words := strings.Fields(line)
		if strings.HasPrefix(line, "env: ") {
			slices.Sort(words)
		}
		out = append(out, strings.Join(words, " "))
	}
	return strings.Join(out, "\n")
}

// judge holds what was found against the list of intended differences, and says the count.
func judge(t *testing.T, what, file string, n int, result func(int) (name string, diffs []string)) {
	t.Helper()
	listed := differences(t, file)
	passed, intended := 0, 0
	for i := range n {
		name, diffs := result(i)
		why, known := listed[name]
		delete(listed, name)
		switch {
		case len(diffs) == 0 && known:
			t.Errorf("%s: is listed in %s, and does not differ", name, file)
		case len(diffs) == 0:
			passed++
		case known:
			intended++
			t.Logf("%s\n    %s\n    because %s", name, strings.Join(diffs, "\n    "), why)
		default:
			t.Errorf("%s\n    %s", name, strings.Join(diffs, "\n    "))
		}
	}
	for name := range listed {
		t.Errorf("%s lists %q, which no case is called", file, name)
	}
	t.Logf("adnanh/webhook's %s: %d of %d are the same, %d differ on purpose", what, passed, n, intended)
}

// peerRule is a rule with what the peer made of it.
type peerRule struct {
	Name           string
	Rule           json.RawMessage
	Headers, Query map[string]string
	Payload        map[string]any
	Body           string
	Remote         string `json:"remote_addr"`
	Want           bool
	WantErr        bool   `json:"want_err"`
	ErrKind        string `json:"err_kind"`
}

// TestImport_AdnanhRulesDecideAsTheyDid sends a request for every rule that the peer's own tests
// have, and for 180 random ones.
func TestImport_AdnanhRulesDecideAsTheyDid(t *testing.T) {
	t.Parallel()
	data := readPeerFile(t)
	cases := slices.Concat(data.RuleCases, data.RuleDerived, data.RuleProbes, data.RuleRandom)
	p := newPeerPlace(t)
	keys := make([]string, len(cases))
	for i, c := range cases {
		h, err := json.Marshal(map[string]any{"id": fmt.Sprintf("rule-%03d", i), "execute-command": "{{ .Hookecho }}", "trigger-rule": c.Rule})
		must(t, err)
		keys[i] = p.add(h, adnanh.Options{Prefix: "hooks"})
	}
	p.start()
	results := make([][]string, len(cases))
	var all sync.WaitGroup
	slots := make(chan struct{}, 8)
	for i := range cases {
		all.Go(func() {
			slots <- struct{}{}
			defer func() { <-slots }()
			results[i] = p.decide(i, &cases[i], p.names[keys[i]], p.refused[keys[i]])
		})
	}
	all.Wait()
	judge(t, "rules", "rule-differences.txt", len(cases), func(i int) (string, []string) { return cases[i].Name, results[i] })
}

// port is the end of an address that has one.
var port = regexp.MustCompile(`(\.[0-9]+|\]):[0-9]+$`)

func (p *peerPlace) decide(i int, c *peerRule, name, refused string) []string {
	if refused != "" {
		if !c.Want {
			return nil
		}
		return []string{"refused: " + refused}
	}
	body, query := c.Body, ""
	if len(c.Payload) > 0 {
		b, err := json.Marshal(c.Payload)
		must(p.t, err)
		body = string(b)
	}
	for k, v := range c.Query {
		query += "&" + k + "=" + v
	}
	req, err := http.NewRequestWithContext(p.t.Context(), "POST", p.daemon.url(fmt.Sprintf("/hooks/rule-%03d?%s", i, query)), strings.NewReader(body))
	must(p.t, err)
	req.Header.Set("Content-Type", "application/json")
	for k, v := range c.Headers {
		req.Header.Set(k, v)
	}
	if host := strings.Trim(c.Remote, " []"); host != "" { // the daemon trusts us as a proxy
		req.Header.Set("X-Forwarded-For", strings.Trim(port.ReplaceAllString(host, "$1"), "[] "))
	}
	o, err := p.play(name, req)
	if err != nil {
		return []string{err.Error()}
	}
	if diff := cmp.Diff(c.Want, len(o.calls) == 1); diff != "" {
		return []string{fmt.Sprintf("started %d times, the peer: %v (answer %d %s)", len(o.calls), c.Want, o.status, o.body)}
	}
	return nil
}

// TestImport_ScalrSignaturesOfTheirTimeAreTaken signs as Scalr does, now and around the five
// minutes that the peer allows.
func TestImport_ScalrSignaturesOfTheirTimeAreTaken(t *testing.T) {
	p := newPeerPlace(t)
	p.add(json.RawMessage(`{"id": "scalr", "execute-command": "{{ .Hookecho }}", "trigger-rule": {"match": {"type": "scalr-signature", "secret": "a secret of scalr"}}}`),
		adnanh.Options{Prefix: "hooks"})
	p.start()
	for i, c := range readPeerFile(t).Scalr {
		body := fmt.Sprintf(`{"n":%d}`, i)
		req, err := http.NewRequestWithContext(t.Context(), "POST", p.daemon.url("/hooks/scalr"), strings.NewReader(body))
		must(t, err)
		for k, v := range c.Headers {
			req.Header.Set(k, v)
		}
		if c.Good != nil {
			date := time.Now().Add(time.Duration(c.Offset) * time.Second).UTC().Format("Mon 02 Jan 2006 15:04:05 MST")
			mac := hmac.New(sha1.New, []byte("a secret of scalr"))
			mac.Write([]byte(body + date))
			req.Header.Set("Date", date)
			req.Header.Set("X-Signature", hex.EncodeToString(mac.Sum(nil)))
		}
		o, err := p.play("scalr", req)
		must(t, err)
		if want := c.Want != nil && *c.Want; want != (len(o.calls) == 1) {
			t.Errorf("%s: started %d times, the peer: %v (answer %d %s)", c.Name, len(o.calls), want, o.status, o.body)
		}
	}
}
