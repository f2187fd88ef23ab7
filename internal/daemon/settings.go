// Package daemon is the only wiring: it opens what the program is made of, in dependency order,
// reloads the hooks while it runs, and closes everything in the opposite order.
package daemon

import (
	"cmp"
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"time"

	"github.com/tenterhook/tenterhook/internal/admin"
	"github.com/tenterhook/tenterhook/internal/config"
	"github.com/tenterhook/tenterhook/internal/hook"
	"github.com/tenterhook/tenterhook/internal/hooktest"
	"github.com/tenterhook/tenterhook/internal/relay"
	"github.com/tenterhook/tenterhook/internal/store"
	"github.com/tenterhook/tenterhook/internal/store/postgres"
)

// Settings are what a configuration says beside its hooks. A change of Server, Admin or Store
// needs a restart.
type Settings struct {
	Server    Server
	Admin     Admin
	Relay     Relay
	Store     string        // where it is, as it may be shown: the path of a SQLite file, or a URL
	Database  config.Secret // the URL of a PostgreSQL database; empty for SQLite
	Files     string        // what the names of files beside the store begin with
	Retention store.Retention
	Workers   int
	Node      Node
}

// StoreAt is where the store is, with the password if it has one: not to be shown.
func (s Settings) StoreAt() string { return cmp.Or(string(s.Database.Reveal()), s.Store) }

// Server is where deliveries come in.
type Server struct {
	Listen  string // host:port, or unix:/path
	Cert    string // TLS when set, with Key; re-read when the files change
	Key     string
	ACME    *ACME // or TLS with certificates that an authority hands out
	Proxies []netip.Prefix
	Drain   time.Duration // how long a stop waits for running jobs
	// PublicURL is where senders reach the listener, without a slash at its end; "" when nobody said.
	PublicURL string
}

// Admin is the operators' listener.
type Admin struct {
	Listen string
	Token  config.Secret
	Tokens []admin.Token // beside Token, of narrower scopes
	Hosts  []string      // further Host names it answers to
}

// Relay is where others take the deliveries that are held for them.
type Relay struct {
	Listen string // "" when nobody can
	Lease  time.Duration
	Takers []relay.Taker // they take no restart
}

// HasToken reports whether any token is configured.
func (a Admin) HasToken() bool { return len(a.Token.Reveal()) > 0 || len(a.Tokens) > 0 }

// Config is one whole configuration: the file, what it says, and its hooks.
type Config struct {
	File     *config.File
	Settings Settings
	Hooks    *hook.Set
	Loaded   time.Time
	// FromStore: hooks, defaults, tests and reload come from the store.
	FromStore bool
	// Tests are those of the file itself; TestsBeside reads others.
	Tests []*hooktest.Test
	// TestsRequired: a reload whose tests fail is refused.
	TestsRequired bool
	// Plan is what a reload must not lose.
	Plan PlanGate
	// Diagnostics are the warnings it was loaded with.
	Diagnostics *config.Diagnostics
}

type rootSpec struct {
	Server   serverSpec  `yaml:"server" doc:"Where deliveries come in. A change needs a restart."`
	Admin    adminSpec   `yaml:"admin" doc:"The operators' side: API, metrics, health. A change needs a restart."`
	Relay    relaySpec   `yaml:"relay" doc:"Where other Tenterhooks take the deliveries of hooks with hold."`
	Config   configSpec  `yaml:"config" doc:"Where the hooks come from. A change needs a restart."`
	Store    storeSpec   `yaml:"store" doc:"Where deliveries and jobs are kept. A change needs a restart."`
	Node     nodeSpec    `yaml:"node" doc:"This daemon among others on one PostgreSQL store. A change needs a restart."`
	Workers  *int        `yaml:"workers" doc:"Jobs that run at once, 1 to 1024." default:"2 x CPUs, at least 4"`
	Include  config.Node `yaml:"include" doc:"Patterns of further files with a hooks: list."`
	Defaults config.Node `yaml:"defaults" doc:"Keys that every rule has which does not set them itself."`
	Hooks    config.Node `yaml:"hooks" doc:"The paths that deliveries come to, each with its verification and rules."`
	Tests    config.Node `yaml:"tests" doc:"Requests, and what the hooks are expected to make of them. \"tenterhook check\" runs them."`
	Reload   reloadSpec  `yaml:"reload" doc:"What a reload must pass."`
}

type reloadSpec struct {
	Tests config.Text `yaml:"tests" doc:"required: a reload whose tests: fail is refused." oneof:"required optional" default:"optional"`
	// What a reload must not lose.
	Plan       config.Text    `yaml:"plan" doc:"no_lost: a reload is refused that would lose a match of a stored delivery." oneof:"no_lost optional" default:"optional"`
	Since      *time.Duration `yaml:"since" doc:"How old deliveries may be that plan: compares." default:"7d"`
	Deliveries *int           `yaml:"deliveries" doc:"How many of them, the newest." default:"10000"`
}

type serverSpec struct {
	Listen  config.Text    `yaml:"listen" doc:"Address for deliveries, and nothing else: host:port or unix:/path. :9000 is every address." default:"127.0.0.1:9000"`
	TLS     *tlsSpec       `yaml:"tls" doc:"Certificate and key, read again when the files change; or acme."`
	Proxies []config.Text  `yaml:"trusted_proxies" doc:"Addresses or networks whose X-Forwarded-For is believed."`
	Drain   *time.Duration `yaml:"drain" doc:"How long a stop waits for running jobs." default:"60s"`
	Public  config.Text    `yaml:"public_url" doc:"Where senders reach this listener: https://hooks.example.com. register and catchup know hooks by it."`
}

type tlsSpec struct {
	Cert config.Text `yaml:"cert" doc:"PEM file of the certificate and those between it and the root."`
	Key  config.Text `yaml:"key" doc:"PEM file of the private key."`
	ACME *acmeSpec   `yaml:"acme" doc:"Instead of files: certificates from an authority such as Let's Encrypt, renewed by themselves."`
}

type adminSpec struct {
	Listen config.Text   `yaml:"listen" doc:"Address of API, /metrics, /healthz and /readyz: host:port or unix:/path." default:"127.0.0.1:9001"`
	Token  config.Secret `yaml:"token" doc:"Required where other machines can reach the admin side. It may do everything."`
	Tokens []tokenSpec   `yaml:"tokens" doc:"Further tokens, each for one scope."`
	Hosts  []string      `yaml:"hosts" doc:"Further Host names it answers to."`
}

type tokenSpec struct {
	Name  config.Text   `yaml:"name,required" doc:"Who it is for: the audit log says so."`
	Token config.Secret `yaml:"token,required" doc:"The token itself."`
	Scope config.Text   `yaml:"scope,required" doc:"read lists and shows, run also replays, retries, cancels and pauses, admin may do everything." oneof:"read run admin"`
}

type storeSpec struct {
	URL       config.Text    `yaml:"url" doc:"sqlite:FILE, or postgres://user:password@host/database." default:"sqlite:tenterhook.db"`
	Retention *retentionSpec `yaml:"retention" doc:"How much is kept. Jobs that have not ended are never pruned."`
}

type retentionSpec struct {
	For        *time.Duration `yaml:"for" doc:"How long deliveries are kept." default:"14d"`
	Deliveries *int           `yaml:"deliveries" doc:"How many deliveries are kept." default:"100000"`
}

// Load reads, checks and compiles a configuration; it starts nothing. exposed says that the
// deliveries' listener is reachable from other machines although the file does not (a socket
// that was handed over). The Config is of use only when the diagnostics have no problems.
func Load(o config.Options, exposed bool) (c *Config, d *config.Diagnostics) {
	// A fault of ours must not end a daemon that only looks at an edit.
	defer func() {
		if r := recover(); r != nil {
			c, d = nil, &config.Diagnostics{}
			d.Errorf(config.Pos{File: o.Path}, "the configuration cannot be read, by a fault of this program: %v", r).
				Hint("please report it with the file that caused it, without its secrets")
		}
	}()
	file, d := config.Load(o)
	if file == nil {
		return nil, d
	}
	return compile(file, exposed, o.Stored != nil, d), d
}

func compile(file *config.File, exposed, stored bool, d *config.Diagnostics) *Config {
	m := file.Root.Map(d)
	var spec rootSpec
	m.Decode(&spec)
	m.Close()
	c := &Config{File: file, Settings: settings(spec, file, d), Loaded: time.Now(), Diagnostics: d}
	c.FromStore = fromStore(&spec, file, &c.Settings, stored, d)
	if len(spec.Hooks.List()) == 0 && (!c.FromStore || stored) {
		d.Errorf(file.Root, "there are no hooks: nothing could ever be received").
			Hint("hooks: is a list; each has name, path, provider or verify, and rules")
	}
	c.Hooks = hook.Compile(spec.Hooks, hook.Context{
		Dir:      file.Dir,
		Digest:   file.Digest,
		Exposed:  exposed || !admin.IsLocal(c.Settings.Server.Listen),
		Mask:     file.Mask(),
		Defaults: spec.Defaults,
		Public:   c.Settings.Server.PublicURL != "",
		Fleet:    len(c.Settings.Database.Reveal()) > 0,
		Labels:   c.Settings.Node.Labels,
	}, d)
	checkHeld(c, spec.Relay, file, d)
	c.readTests(spec, file, d)
	c.Plan = planGate(spec.Reload, d)
	return c
}

func settings(spec rootSpec, file *config.File, d *config.Diagnostics) Settings {
	s := Settings{
		Server:    server(spec.Server, file, d),
		Admin:     Admin{Listen: cmp.Or(spec.Admin.Listen.Value, "127.0.0.1:9001"), Token: spec.Admin.Token, Tokens: tokens(spec.Admin, d), Hosts: spec.Admin.Hosts},
		Retention: store.Retention{For: 14 * 24 * time.Hour, Deliveries: 100_000, Audit: 100_000},
		Workers:   max(4, 2*runtime.NumCPU()),
	}
	if path, ok := strings.CutPrefix(s.Admin.Listen, "unix:"); ok {
		s.Admin.Listen = "unix:" + beside(file, path)
	}
	if checkListen(spec.Admin.Listen, d) && !admin.IsLocal(s.Admin.Listen) && !s.Admin.HasToken() {
		d.Errorf(spec.Admin.Listen, "admin.listen %s is reachable from other machines and has no token", s.Admin.Listen).
			Hint("admin: {listen: …, token: ${ADMIN_TOKEN}}, or listen on 127.0.0.1 or a unix: socket")
	}
	if s.Admin.Listen == s.Server.Listen && !strings.HasSuffix(s.Admin.Listen, ":0") {
		d.Errorf(firstWritten(file.Root, spec.Admin.Listen, spec.Server.Listen), "admin and server cannot share the address %s", s.Admin.Listen)
	}
	s.Relay = readRelay(spec.Relay, s, file, d)
	s.Node = node(spec.Node, file, d)
	readStore(&s, spec.Store.URL, file, d)
	if r := spec.Store.Retention; r != nil {
		set(&s.Retention.For, r.For)
		set(&s.Retention.Deliveries, r.Deliveries)
	}
	if spec.Workers != nil {
		s.Workers = *spec.Workers
		if s.Workers < 1 || s.Workers > 1024 {
			d.Errorf(file.Root.Find("workers"), "workers is between 1 and 1024, found %d", s.Workers)
		}
	}
	return s
}

// mostTokens bounds admin.tokens: each is compared with what somebody sends.
const mostTokens = 100

// tokens are the admin side's further tokens, each with a name and a value of its own.
func tokens(spec adminSpec, d *config.Diagnostics) (all []admin.Token) {
	names, values := map[string]bool{}, map[string]bool{string(spec.Token.Reveal()): true}
	for i, t := range spec.Tokens {
		scope := admin.Scope(t.Scope.Value)
		switch {
		case i >= mostTokens:
			d.Errorf(t.Name, "admin.tokens has %d tokens, at most %d can be", len(spec.Tokens), mostTokens)
			return all
		case t.Name.Value == "" || t.Scope.Value == "" || len(t.Token.Reveal()) == 0:
			continue // said already
		case !slices.Contains(admin.Scopes, scope):
			d.Errorf(t.Scope, "scope is read, run or admin, found %q", t.Scope.Value).
				Hint("read lists and shows, run also replays, retries, cancels and pauses, admin may do everything")
		case names[t.Name.Value]:
			d.Errorf(t.Name, "two tokens have the name %q: the audit log could not tell them apart", t.Name.Value)
		case values[string(t.Token.Reveal())]:
			d.Errorf(t.Token, "the token %q has the value of another one: nobody could say whose it is", t.Name.Value)
		}
		names[t.Name.Value], values[string(t.Token.Reveal())] = true, true
		all = append(all, admin.Token{Name: t.Name.Value, Secret: t.Token.Reveal(), Scope: scope})
	}
	return all
}

func sameToken(a, b admin.Token) bool {
	return a.Name == b.Name && a.Scope == b.Scope && string(a.Secret) == string(b.Secret)
}

// firstWritten is the place of the first text that the file has, else the file's.
func firstWritten(root config.Node, texts ...config.Text) config.Placed {
	for _, t := range texts {
		if t.Value != "" {
			return t
		}
	}
	return root
}

// defaultDrain is how long a stop waits for running jobs: less than systemd's own patience.
const defaultDrain = 60 * time.Second

func server(spec serverSpec, file *config.File, d *config.Diagnostics) Server {
	s := Server{Listen: cmp.Or(spec.Listen.Value, "127.0.0.1:9000"), Drain: defaultDrain}
	checkListen(spec.Listen, d)
	if path, ok := strings.CutPrefix(s.Listen, "unix:"); ok {
		s.Listen = "unix:" + beside(file, path)
	}
	set(&s.Drain, spec.Drain)
	s.PublicURL = publicURL(spec.Public, d)
	if spec.TLS != nil {
		readTLS(&s, spec.TLS, file, d)
	}
	for _, p := range spec.Proxies {
		prefix, err := hook.ParsePrefix(p.Value)
		if err != nil {
			d.Errorf(p, "trusted_proxies wants addresses or networks such as 10.0.0.0/8, found %q", p.Value)
			continue
		}
		s.Proxies = append(s.Proxies, prefix)
	}
	return s
}

// publicURL reads where senders reach the listener.
func publicURL(at config.Text, d *config.Diagnostics) string {
	if at.Value == "" {
		return ""
	}
	if err := CheckPublicURL(at.Value); err != nil {
		d.Errorf(at, "public_url %s", err.Error()).Hint("public_url: https://hooks.example.com")
	}
	return strings.TrimRight(at.Value, "/")
}

// CheckPublicURL says what is wrong with an address that senders are to reach the listener at.
func CheckPublicURL(address string) error {
	u, err := url.Parse(address)
	if err != nil || u.Host == "" || u.Scheme != "https" && u.Scheme != "http" || u.User != nil || u.RawQuery != "" || u.Fragment != "" {
		return fmt.Errorf("wants https://host, with a path before the hooks' if there is one, found %q", address)
	}
	return nil
}

// readTLS wants a certificate with its key, or an authority to get them from.
func readTLS(s *Server, spec *tlsSpec, file *config.File, d *config.Diagnostics) {
	node := file.Root.Find("server", "tls")
	switch {
	case spec.ACME != nil && (spec.Cert.Value != "" || spec.Key.Value != ""):
		d.Errorf(node.Key("acme"), "certificates come from files (cert, key) or from acme, not from both")
		return
	case spec.ACME != nil:
		s.ACME = readACME(spec.ACME, node.Find("acme"), file, d)
		return
	}
	s.Cert, s.Key = beside(file, spec.Cert.Value), beside(file, spec.Key.Value)
	for _, need := range []struct{ name, value string }{{"cert", s.Cert}, {"key", s.Key}} {
		if need.value == "" {
			d.Errorf(node, "%q is missing", need.name).Hint("tls: {cert: cert.pem, key: key.pem}, or tls: {acme: {domains: [hooks.example.com], email: …}}")
		}
	}
	if _, err := loadCertificate(s.Cert, s.Key); err != nil && s.Cert != "" && s.Key != "" {
		d.Errorf(spec.Cert, "%s", err.Error())
	}
}

// readStore reads where the store is.
func readStore(s *Settings, at config.Text, file *config.File, d *config.Diagnostics) {
	value := cmp.Or(at.Value, "sqlite:tenterhook.db")
	scheme, path, _ := strings.Cut(value, ":")
	switch {
	case scheme == "sqlite" && path != "":
		s.Store = beside(file, strings.TrimPrefix(path, "//"))
		s.Files = s.Store
	case scheme == "postgres" || scheme == "postgresql":
		if err := postgres.Check(value); err != nil {
			d.Errorf(at, "store url: %s", err.Error()).Hint("postgres://user:password@host:5432/database, with the password as ${NAME} or ${file:…}")
			return
		}
		s.Store, s.Database, s.Files = postgres.Shown(value), at.Secret(), beside(file, "tenterhook-"+s.Node.Name)
	default:
		d.Errorf(at, "store url wants sqlite:FILE or postgres://user@host/database, found %q", value)
	}
}

// beside resolves a relative path against the configuration's folder.
func beside(file *config.File, path string) string {
	if path == "" || filepath.IsAbs(path) {
		return path
	}
	return filepath.Join(file.Dir, path)
}

func checkListen(listen config.Text, d *config.Diagnostics) bool {
	if listen.Value == "" {
		return true
	}
	if path, ok := strings.CutPrefix(listen.Value, "unix:"); ok {
		if path == "" {
			d.Errorf(listen, "a unix socket wants a path").Hint("unix:/run/tenterhook/admin.sock")
			return false
		}
		return true
	}
	if _, port, err := net.SplitHostPort(listen.Value); err != nil || port == "" {
		d.Errorf(listen, "listen wants host:port, found %q", listen.Value).Hint("127.0.0.1:9000, or :9000 for every address")
		return false
	}
	return true
}

// needRestart names what differs between two configurations and takes a restart to apply.
func (s Settings) needRestart(next Settings) []string {
	var names []string
	add := func(name string, changed bool) {
		if changed {
			names = append(names, name)
		}
	}
	add("server.listen", s.Server.Listen != next.Server.Listen)
	add("server.tls", s.Server.Cert != next.Server.Cert || s.Server.Key != next.Server.Key || !s.Server.ACME.same(next.Server.ACME))
	add("server.trusted_proxies", !slices.Equal(s.Server.Proxies, next.Server.Proxies))
	add("server.drain", s.Server.Drain != next.Server.Drain)
	add("admin.listen", s.Admin.Listen != next.Admin.Listen)
	add("admin.token", string(s.Admin.Token.Reveal()) != string(next.Admin.Token.Reveal()))
	add("admin.tokens", !slices.EqualFunc(s.Admin.Tokens, next.Admin.Tokens, sameToken))
	add("admin.hosts", !slices.Equal(s.Admin.Hosts, next.Admin.Hosts))
	add("relay.listen", s.Relay.Listen != next.Relay.Listen)
	add("store.url", s.Store != next.Store || string(s.Database.Reveal()) != string(next.Database.Reveal()))
	add("store.retention", s.Retention != next.Retention)
	add("node", !s.Node.same(next.Node))
	add("workers", s.Workers != next.Workers)
	return names
}

// set copies a value that was written over its default.
func set[T any](into, written *T) {
	if written != nil {
		*into = *written
	}
}
