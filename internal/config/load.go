// Package config reads YAML configurations: several layers into one tree whose every value keeps
// its place, references to secrets, strict decoding, and every problem at once with the source
// line and a caret. It knows nothing of webhooks.
package config

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"unicode/utf8"

	"go.yaml.in/yaml/v4"
)

// Options say what to load.
type Options struct {
	Path      string            // of the main file
	Environ   []string          // NAME=value; what references and TENTERHOOK_… variables are read from
	Overrides map[string]string // from flags: "server.listen" → value
	Snapshot  *Snapshot         // read instead of the files, when set
	// Only are the files that references may name; nil: any. For a source of somebody who may not
	// read whatever this process may.
	Only []string
	// Alike are the references that may stand, and where; nil: any, anywhere. Beside Only: a condition on
	// a secret would tell of it, letter by letter, by what it matches. See File.References.
	Alike map[Reference]bool
	// Stored is joined with the main file; nil: there is none.
	Stored *Stored
}

// File is a whole configuration, layers merged.
type File struct {
	Root        Node
	Digest      string   // 12 hex digits that name the files' content and the overrides, without referenced secrets
	Fingerprint [32]byte // like Digest, but of everything that was resolved too: whether a reload changes anything. Never stored or shown
	Files       []string // every configuration file that was read, the main one first
	Watch       []string // files and folders whose change may matter
	Dir         string   // absolute folder of the main file: where relative paths start
	references  map[Reference]bool
	l           *loader
}

// Mask returns values that must never be shown, each at least 4 bytes: what secrets and
// references to files, credentials and secret-looking variables came to.
func (f *File) Mask() []string { return slices.Sorted(maps.Keys(f.l.hidden)) }

// loader is what is known while one configuration is loaded and decoded. It is kept alive by
// the Nodes and not safe for concurrent use.
type loader struct {
	dir      string
	environ  map[string]string
	origin   map[*yaml.Node]*source
	hidden   map[string]bool
	contents map[string]content
	watched  map[string]bool
	snapshot *Snapshot          // to read instead of the files; nil
	only     []string           // that references may name; nil: any
	alike    map[Reference]bool // that may stand; nil: any
	taken    Snapshot           // what is read
	files    []string
	digest   []byte // what Digest is made of
	resolved []byte // what references came to, for the fingerprint
	d        *Diagnostics
}

type content struct {
	value, problem string
	readable       bool // by others
}

// The bounds of a configuration.
const (
	maxFile  = 4 << 20
	maxDepth = 64
	maxNodes = 200_000
)

// Load reads a configuration. The File is nil when there is nothing to decode; otherwise it can
// be decoded, so that all problems are found, even when there are some already. Load starts
// nothing and never panics on any input.
func Load(o Options) (*File, *Diagnostics) {
	l := newLoader(o)
	data, readable, ok := l.read(o.Path, Pos{File: o.Path})
	if !ok {
		return nil, l.d
	}
	return l.load(o, data, readable)
}

// Parse is Load for a source that is already in memory.
func Parse(name string, src []byte, o Options) (*File, *Diagnostics) {
	if o.Path == "" {
		o.Path = name
	}
	return newLoader(o).load(o, src, false)
}

func newLoader(o Options) *loader {
	dir := filepath.Dir(o.Path)
	if abs, err := filepath.Abs(dir); err == nil {
		dir = abs
	}
	l := &loader{
		dir: dir, environ: map[string]string{}, origin: map[*yaml.Node]*source{}, hidden: map[string]bool{},
		contents: map[string]content{}, watched: map[string]bool{},
		snapshot: o.Snapshot, only: o.Only, alike: o.Alike, taken: Snapshot{Files: map[string]string{}, Included: map[string][]string{}},
		d: &Diagnostics{sources: map[string]*source{}, name: o.Path},
	}
	l.d.mask = l.maskedText
	for _, pair := range o.Environ {
		if name, value, ok := strings.Cut(pair, "="); ok {
			l.environ[name] = value
		}
	}
	return l
}

func (l *loader) load(o Options, data []byte, readable bool) (*File, *Diagnostics) {
	root := l.parse(o.Path, data, readable)
	if root == nil {
		return nil, l.d
	}
	if o.Stored != nil && !l.join(Node{root, l}, o.Stored) {
		return nil, l.d
	}
	l.include(Node{root, l}, o.Path)
	merged := l.layer(root, o)
	file := &File{Root: Node{merged, l}, Dir: l.dir, Files: l.files, references: map[Reference]bool{}, l: l}
	l.resolveAll(file.Root, false)
	l.eachReference(file.Root, "", func(_ Node, r Reference) { file.references[r] = true })
	if !l.allAlike(file.Root) {
		return nil, l.d
	}
	sum := sha256.Sum256(l.digest)
	file.Digest = hex.EncodeToString(sum[:6])
	if o.Stored != nil {
		file.Digest = storedDigest(o.Stored) // the same on every machine
		l.resolved = append(l.resolved, o.Stored.Data...)
	}
	file.Fingerprint = l.fingerprint()
	file.Watch = slices.Sorted(maps.Keys(l.watched))
	return file, l.d
}

// read reads a configuration file.
func (l *loader) read(path string, at Placed) (data []byte, readable, ok bool) {
	l.watch(absolute(path))
	if l.snapshot != nil {
		content, ok := l.snapshot.Files[absolute(path)]
		if !ok {
			l.d.Errorf(at, "%s is not among the files that were kept", path)
		}
		l.taken.Files[absolute(path)] = content
		return []byte(content), false, ok
	}
	data, info, err := readRegular(path, maxFile)
	if err != nil {
		problem := l.d.Errorf(at, "%s", err.Error())
		if errors.Is(err, fs.ErrNotExist) && at == (Pos{File: path}) {
			problem.Hint(`-c FILE names another, "tenterhook init" writes one to begin with`)
		}
		return nil, false, false
	}
	l.taken.Files[absolute(path)] = string(data)
	return data, info.Mode().Perm()&0o077 != 0, true
}

func absolute(path string) string {
	if abs, err := filepath.Abs(path); err == nil {
		return abs
	}
	return path
}

func (l *loader) watch(path string) { l.watched[path] = true }

// lineEnds are all that end a line in YAML 1.1, which is what the parser counts by.
var lineEnds = strings.NewReplacer("\r\n", "\n", "\r", "\n", "\u0085", "\n", "\u2028", "\n", "\u2029", "\n")

// parse makes nodes of one file and checks what every file must be. It returns nil when there
// is nothing to go on with.
func (l *loader) parse(name string, data []byte, readable bool) *yaml.Node {
	data = bytes.TrimPrefix(data, []byte("\ufeff"))
	src := &source{name: name, lines: strings.Split(lineEnds.Replace(string(data)), "\n"), readable: readable, l: l}
	l.d.sources[name] = src
	l.files = append(l.files, name)
	l.digest = fmt.Appendf(l.digest, "%d:%s%d:%s", len(filepath.Base(name)), filepath.Base(name), len(data), data)
	if pos, message := garbled(name, data); message != "" {
		l.d.Errorf(pos, "%s", message)
		return nil
	}
	documents, err := documents(data)
	if err != nil {
		pos, message := yamlError(name, err)
		pos.Line = min(pos.Line, len(src.lines))
		l.d.Errorf(pos, "%s", message)
		return nil
	}
	if len(documents) > 1 {
		l.d.Errorf(Pos{name, documents[1].Line, max(1, documents[1].Column)}, "a second document: a configuration is one YAML document")
		return nil
	}
	if len(documents) == 0 || isEmpty(documents[0]) {
		l.d.Errorf(Pos{File: name}, "the file is empty").Hint("a configuration has at least hooks:")
		return nil
	}
	root := documents[0].Content[0]
	l.adopt(root, src)
	if root.Kind != yaml.MappingNode || len(root.Content) == 0 {
		l.d.Errorf(Node{root, l}, "a configuration is a mapping with hooks:, found %s", emptyOr(Node{root, l}))
		return nil
	}
	before := problems(l.d)
	c := checker{l: l, nodes: maxNodes}
	c.check(root, 0)
	if problems(l.d) > before && c.fatal {
		return nil
	}
	src.understood = true
	return root
}

func emptyOr(n Node) string {
	if n.Kind() == KindMap {
		return "an empty one"
	}
	return n.Kind().String()
}

// isEmpty reports whether a document says nothing; one that says null says something.
func isEmpty(document *yaml.Node) bool {
	return len(document.Content) == 0 || document.Content[0].ShortTag() == "!!null" && document.Content[0].Value == ""
}

// garbled finds the first byte that is no text, which the parser does not place.
func garbled(name string, data []byte) (pos Pos, message string) {
	pos = Pos{File: name, Line: 1, Col: 1}
	for i := 0; i < len(data); {
		r, size := utf8.DecodeRune(data[i:])
		switch {
		case r == utf8.RuneError && size == 1:
			return pos, "not UTF-8"
		case r < ' ' && r != '\t' && r != '\n' && r != '\r', r >= 0x7f && r < 0xa0 && r != 0x85, r == 0xfffe, r == 0xffff:
			return pos, fmt.Sprintf("a control character (%U)", r)
		}
		i, pos.Col = i+size, pos.Col+1
		if r == '\n' || r == '\r' && !bytes.HasPrefix(data[i:], []byte("\n")) || r == 0x85 || r == 0x2028 || r == 0x2029 {
			pos.Line, pos.Col = pos.Line+1, 1
		}
	}
	return Pos{}, ""
}

// documents parses the first two documents there are.
func documents(data []byte) ([]*yaml.Node, error) {
	found, err := parseYAML(data)
	if err == nil {
		return found, nil
	}
	again := shielded(data)
	if again == nil {
		return nil, err
	}
	found, failed := parseYAML(again)
	if failed != nil {
		return nil, err // of what people wrote
	}
	for _, document := range found {
		restore(document)
	}
	return found, nil
}

func parseYAML(data []byte) ([]*yaml.Node, error) {
	var out []*yaml.Node
	decoder := yaml.NewDecoder(bytes.NewReader(data))
	for len(out) < 2 {
		var document yaml.Node
		err := decoder.Decode(&document)
		if err != nil && err.Error() == "EOF" {
			return out, nil
		}
		if err != nil {
			return nil, err
		}
		out = append(out, &document)
	}
	return out, nil
}

// adopt notes where a tree comes from.
func (l *loader) adopt(y *yaml.Node, src *source) {
	l.origin[y] = src
	for _, child := range y.Content {
		l.adopt(child, src)
	}
}

// checker looks for what no part of a configuration may have.
type checker struct {
	l     *loader
	nodes int
	fatal bool
}

func (c *checker) check(y *yaml.Node, depth int) {
	at := Node{y, c.l}
	if c.nodes--; c.nodes < 0 || depth > maxDepth {
		if !c.fatal {
			c.l.d.Errorf(at, "the configuration is nested deeper or has more parts than a person can have meant")
		}
		c.fatal = true
		return
	}
	if y.Kind == yaml.AliasNode || y.Anchor != "" {
		c.l.d.Errorf(at, "anchors and aliases are not part of this language").Hint("use defaults: or include:, or write it out")
		c.fatal = true
		return
	}
	if y.Style&yaml.TaggedStyle != 0 {
		c.l.d.Errorf(at, "tags such as %s are not part of this language", y.ShortTag()).Hint("quotes make a text")
		c.fatal = true
	}
	if y.Kind == yaml.MappingNode {
		c.keys(y)
	}
	for _, child := range y.Content {
		c.check(child, depth+1)
	}
}

func (c *checker) keys(y *yaml.Node) {
	seen := map[string]*yaml.Node{}
	for i := 0; i < len(y.Content); i += 2 {
		key := y.Content[i]
		at := Node{key, c.l}
		if key.Kind != yaml.ScalarNode {
			c.l.d.Errorf(at, "a key is a word, found %s", at.Kind())
			c.fatal = true
			continue
		}
		if key.ShortTag() == "!!merge" {
			c.l.d.Errorf(at, "merge keys (<<) are not part of this language").Hint("use defaults:, or write it out")
			c.fatal = true
		}
		if first := seen[key.Value]; first != nil {
			c.l.d.Errorf(at, "key %q is there twice, first at line %d", key.Value, first.Line)
		}
		seen[key.Value] = key
	}
}

// resolveAll resolves every reference once, without reporting, so that what is watched, hidden
// and fingerprinted does not depend on what is decoded. Values of keys that name secrets are
// hidden even when they are written out.
func (l *loader) resolveAll(n Node, secret bool) {
	switch n.Kind() {
	case KindScalar:
		t := l.expand(n, &Diagnostics{quiet: true})
		if secret {
			l.hide(t.Value)
			if t.Value != "" && !slices.ContainsFunc(t.parts, func(p part) bool { return !p.copied }) { // written out
				n.hide()
			}
		}
		l.hidePasswords(t.Value)
		l.digestValue(t)
	case KindList:
		for _, child := range n.List() {
			l.resolveAll(child, secret)
		}
	case KindMap:
		for _, e := range n.Entries() {
			l.resolveAll(e.Value, e.Key.Value == "secret" || e.Key.Value == "token" && e.Value.Kind() == KindScalar)
		}
	}
}
