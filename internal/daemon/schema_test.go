package daemon_test

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/go-json-experiment/json"
	"github.com/google/go-cmp/cmp"
	"github.com/santhosh-tekuri/jsonschema/v6"
	"go.yaml.in/yaml/v4"

	"github.com/tenterhook/tenterhook/internal/config"
	"github.com/tenterhook/tenterhook/internal/daemon"
	"github.com/tenterhook/tenterhook/internal/provider"
	"github.com/tenterhook/tenterhook/internal/verify"
)

// validator is the schema as an editor reads it.
func validator(t *testing.T) *jsonschema.Schema {
	t.Helper()
	text, err := json.Marshal(daemon.Schema())
	if err != nil {
		t.Fatal(err)
	}
	document, err := jsonschema.UnmarshalJSON(bytes.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	compiler := jsonschema.NewCompiler()
	if err := compiler.AddResource(daemon.SchemaAddress, document); err != nil {
		t.Fatal(err)
	}
	schema, err := compiler.Compile(daemon.SchemaAddress)
	if err != nil {
		t.Fatal(err)
	}
	return schema
}

func validate(schema *jsonschema.Schema, text string) error {
	var document any
	if err := yaml.Unmarshal([]byte(text), &document); err != nil {
		return err
	}
	return schema.Validate(document)
}

func TestSchema_DescribesEveryKey(t *testing.T) {
	if open := daemon.Schema().Open(""); len(open) > 0 {
		t.Errorf("nobody says what these hold: %s", strings.Join(open, ", "))
	}
	var walk func(path string, s *config.Schema)
	walk = func(path string, s *config.Schema) {
		for _, key := range s.Properties {
			if key.Schema.Description == "" && key.Schema.Ref == "" {
				t.Errorf("%s.%s has no description", path, key.Name)
			}
			walk(path+"."+key.Name, key.Schema)
		}
		for _, below := range slices.Concat(s.AnyOf, s.OneOf, []*config.Schema{s.Items}) {
			if below != nil {
				walk(path, below)
			}
		}
		for _, key := range s.Defs {
			walk(key.Name, key.Schema)
		}
	}
	walk("", daemon.Schema())
}

func TestSchema_TakesEveryGoodFile(t *testing.T) {
	schema := validator(t)
	files, err := filepath.Glob("../../examples/*/hooks.yaml")
	if err != nil || len(files) < 4 {
		t.Fatalf("%d examples, %v", len(files), err)
	}
	for _, file := range append(files, "../../hooks.yaml") {
		if err := validate(schema, textOf(t, file)); err != nil {
			t.Errorf("%s: %v", file, err)
		}
	}
	// Every option of the quick start's file, which stand there as a comment.
	_, options, found := strings.Cut(textOf(t, "../../hooks.yaml"), "# server:\n")
	if !found {
		t.Fatal("hooks.yaml has no commented options")
	}
	options = regexp.MustCompile(`(?m)^# ?`).ReplaceAllString("# server:\n"+options, "")
	if err := validate(schema, options); err != nil {
		t.Errorf("hooks.yaml, with its comments: %v\n%s", err, options)
	}
	for _, text := range append(slices.Clone(goodFiles), presets()...) {
		if err := validate(schema, text); err != nil {
			t.Errorf("%v\n%s", err, text)
		}
	}
}

// goodFiles hold what the examples have not.
var goodFiles = []string{
	"hooks:\n  - {name: a, path: /a, verify: none, public: true, run: 'true', enabled: '${ON:-true}', max_body: 12}",
	"hooks: {name: a, path: /a, verify: {any: [{scheme: token, header: X, secret: '${A}'}, {all: [{scheme: bearer}, {scheme: basic, username: u}]}]}, exec: 'true'}",
	"hooks: [{name: a, path: /a, verify: {scheme: hmac, header: [X, Y], timestamp: {header: T, tolerance: 5m}}, secret: [a, b], dedupe: none, rules: [{http: {url: 'https://a', json: {a: [1, true, null]}}}]}]",
	"hooks: [{name: a, path: /a, provider: github, verify: {legacy: true}, secret: x, run: 'true', once: '${{ body }}', throttle: {limit: 1, per: 1m30s}, on_failure: [{exec: [a], retry: {attempts: 2}}]}]",
	"workers: ${W:-4}\nstore: {retention: {for: 1w2d, deliveries: 5}}\ntests: [{name: a, hook: b, request: {signed: false}, expect: {status: 401}}]",
}

func presets() (files []string) {
	for _, p := range provider.All() {
		for _, name := range append([]string{p.Name}, p.Aliases...) {
			files = append(files, fmt.Sprintf("hooks: [{name: a, path: /a, provider: %q, secret: x, run: 'true'}]", name))
		}
	}
	return files
}

// What the loader says of a file whose keys or types are wrong, which an editor must show, too.
var shapeProblems = regexp.MustCompile(`unknown key|unknown provider|unknown scheme|unknown method|unknown body type|expected (a|text|true|a whole)|" is missing|a rule has one action|nothing to do: `)

func TestSchema_RefusesWhatTheLoaderRefusesForItsShape(t *testing.T) {
	schema := validator(t)
	files, err := filepath.Glob("testdata/bad/*.yaml")
	if err != nil {
		t.Fatal(err)
	}
	refused := 0
	for _, file := range files {
		said := textOf(t, strings.TrimSuffix(file, ".yaml")+".out")
		if !shapeProblems.MatchString(said) {
			continue
		}
		refused++
		if validate(schema, textOf(t, file)) == nil {
			t.Errorf("%s: the schema takes it, the loader says\n%s", file, said)
		}
	}
	if refused < 20 {
		t.Errorf("only %d files have a wrong shape", refused)
	}
}

// TestSchema_HasExactlyTheKeysTheLoaderTakes asks the loader, which lists what it knows when it
// meets a key that nobody has.
func TestSchema_HasExactlyTheKeysTheLoaderTakes(t *testing.T) {
	root := daemon.Schema()
	def := func(name string) *config.Schema {
		for _, d := range root.Defs {
			if d.Name == name {
				return d.Schema
			}
		}
		t.Fatalf("there is no %s", name)
		return nil
	}
	hook, rule, action, test := def("hook"), def("rule"), def("action"), def("test")
	const head = "name: a, path: /a, verify: none, "
	once := rule.Key("once").AnyOf[1]
	dedupe := hook.Key("dedupe").AnyOf[1]
	places := []struct {
		text   string
		schema *config.Schema
		has    []string
	}{
		{"zzzzzzzz: 1", root, nil},
		{"server: {zzzzzzzz: 1}", root.Key("server"), nil},
		{"server: {tls: {zzzzzzzz: 1}}", root.Key("server", "tls"), nil},
		{"admin: {zzzzzzzz: 1}", root.Key("admin"), nil},
		{"store: {zzzzzzzz: 1}", root.Key("store"), nil},
		{"store: {retention: {zzzzzzzz: 1}}", root.Key("store", "retention"), nil},
		{"reload: {zzzzzzzz: 1}", root.Key("reload"), nil},
		{"defaults: {zzzzzzzz: 1}", root.Key("defaults"), nil},
		{"hooks: [{" + head + "rules: [{run: x}], zzzzzzzz: 1}]", hook, []string{"rules"}},
		{"hooks: [{" + head + "run: x, zzzzzzzz: 1}]", hook, []string{"run"}},
		{"hooks: [{" + head + "exec: [x], zzzzzzzz: 1}]", hook, []string{"exec"}},
		{"hooks: [{" + head + "http: {}, zzzzzzzz: 1}]", hook, []string{"http"}},
		{"hooks: [{" + head + "run: x, rate: {zzzzzzzz: 1}}]", hook.Key("rate"), nil},
		{"hooks: [{" + head + "run: x, dedupe: {zzzzzzzz: 1}}]", dedupe, nil},
		{"hooks: [{" + head + "run: x, respond: {zzzzzzzz: 1}}]", hook.Key("respond"), nil},
		{"hooks: [{" + head + "run: x, respond: {ignored: {zzzzzzzz: 1}}}]", hook.Key("respond", "ignored"), nil},
		{"hooks: [{" + head + "run: x, concurrency: {zzzzzzzz: 1}}]", hook.Key("concurrency"), nil},
		{"hooks: [{" + head + "run: x, sandbox: {zzzzzzzz: 1}}]", hook.Key("sandbox"), nil},
		{"hooks: [{" + head + "run: x, limits: {zzzzzzzz: 1}}]", hook.Key("limits"), nil},
		{"hooks: [{" + head + "run: x, retry: {zzzzzzzz: 1}}]", hook.Key("retry"), nil},
		{"hooks: [{" + head + "run: x, debounce: {zzzzzzzz: 1}}]", hook.Key("debounce"), nil},
		{"hooks: [{" + head + "run: x, throttle: {zzzzzzzz: 1}}]", hook.Key("throttle"), nil},
		{"hooks: [{" + head + "run: x, rate_limit: {zzzzzzzz: 1}}]", hook.Key("rate_limit"), nil},
		{"hooks: [{" + head + "run: x, sequence: {zzzzzzzz: 1}}]", hook.Key("sequence"), nil},
		{"hooks: [{" + head + "run: x, once: {zzzzzzzz: 1}}]", once, nil},
		{"hooks: [{" + head + "rules: [{run: x, zzzzzzzz: 1}]}]", rule, []string{"run"}},
		{"hooks: [{" + head + "rules: [{exec: [x], zzzzzzzz: 1}]}]", rule, []string{"exec"}},
		{"hooks: [{" + head + "rules: [{http: {}, zzzzzzzz: 1}]}]", rule, []string{"http"}},
		{"hooks: [{" + head + "rules: [{http: {zzzzzzzz: 1}}]}]", rule.Key("http"), nil},
		{"hooks: [{" + head + "rules: [{http: {sign: {zzzzzzzz: 1}}}]}]", rule.Key("http", "sign"), nil},
		{"hooks: [{" + head + "run: x, on_failure: [{run: x, zzzzzzzz: 1}]}]", action, []string{"run"}},
		{"hooks: [{" + head + "run: x, on_failure: [{http: {}, zzzzzzzz: 1}]}]", action, []string{"http"}},
		{"tests: [{zzzzzzzz: 1}]", test, nil},
		{"tests: [{request: {zzzzzzzz: 1}}]", test.Key("request"), nil},
		{"tests: [{expect: {zzzzzzzz: 1}}]", test.Key("expect"), nil},
	}
	for _, k := range verify.Kinds() {
		if k.Name != "none" {
			outside := then(def("scheme"), "scheme", k.Name)
			inside := then(def("scheme_inside").Else.Else, "scheme", k.Name)
			places = append(places, []struct {
				text   string
				schema *config.Schema
				has    []string
			}{
				{"hooks: [{name: a, path: /a, verify: {scheme: " + k.Name + ", zzzzzzzz: 1}}]", outside, nil},
				{"hooks: [{name: a, path: /a, verify: {any: [{scheme: " + k.Name + ", zzzzzzzz: 1}]}}]", inside, nil},
			}...)
		}
	}
	for _, p := range provider.All() {
		if len(config.SchemaOf(p.Verifier()).Names()) == 0 {
			continue // the loader says that there is nothing to adjust
		}
		places = append(places, struct {
			text   string
			schema *config.Schema
			has    []string
		}{"hooks: [{name: a, path: /a, provider: " + p.Name + ", verify: {zzzzzzzz: 1}}]", then(hook, "provider", p.Name).Key("verify"), nil})
	}
	for _, place := range places {
		if diff := cmp.Diff(knownTo(t, place.text), effective(place.schema, place.has)); diff != "" {
			t.Errorf("%s: loader -, schema +:\n%s", place.text, diff)
		}
	}
}

// then is what the schema says when a key has a word.
func then(s *config.Schema, key, word string) *config.Schema {
	for _, one := range s.AllOf {
		if condition := one.If.Key(key); condition != nil && (condition.Const == word || slices.Contains(condition.Enum, word)) {
			return one.Then
		}
	}
	return nil
}

// effective are the keys that a mapping may have which has some.
func effective(s *config.Schema, has []string) []string {
	names := s.Names()
	for _, one := range s.AllOf {
		if one.If == nil || len(one.If.Required) != 1 || len(one.If.Properties) > 0 || !slices.Contains(has, one.If.Required[0]) {
			continue
		}
		names = slices.DeleteFunc(names, func(name string) bool { return slices.Contains(one.Then.Names(), name) })
	}
	slices.Sort(names)
	return names
}

// knownTo are the keys the loader lists beside the unknown one.
func knownTo(t *testing.T, text string) []string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "hooks.yaml")
	write(t, path, text)
	_, d := daemon.Load(config.Options{Path: path}, false)
	for _, problem := range d.All() {
		if !strings.Contains(problem.Message, `"zzzzzzzz"`) {
			continue
		}
		for _, hint := range problem.Hints {
			if list, ok := strings.CutPrefix(hint, "known keys: "); ok {
				return strings.Split(list, ", ")
			}
			return []string{}
		}
	}
	t.Fatalf("%s: the loader did not notice zzzzzzzz", text)
	return nil
}

func TestSchema_IsSmallEnoughForEditors(t *testing.T) {
	text, err := json.Marshal(daemon.Schema())
	if err != nil {
		t.Fatal(err)
	}
	if size := len(text); size > 200<<10 {
		t.Errorf("the schema has %d KiB: editors would be slow", size>>10)
	}
}

func textOf(t *testing.T, path string) string {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}
