// Package webhookd carries a folder of scripts over that ncarlier/webhookd ran: each executable
// file is a hook, its path is the address, its output the answer, its first argument the body, and
// each parameter and header a variable in small letters. Only the variables that a script mentions
// are carried over. Nothing here starts anything or writes a file.
//
// What the program does is taken from its documents and source, version 1.20.2.
package webhookd

import (
	"fmt"
	"io/fs"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"github.com/tenterhook/tenterhook/internal/config"
	"github.com/tenterhook/tenterhook/internal/migrate"
)

// Options are the flags that the program was started with, as far as they matter.
type Options struct {
	Extension string // -hook-default-ext, without the dot
	Timeout   string // -hook-timeout, as a duration
}

// The bounds of a folder.
const (
	maxScripts = 1000
	maxScript  = 1 << 20
)

// Import reads the folder dir, whose files are those of tree. The document is nil when nothing in
// it is a script; then the notes say why.
func Import(dir string, tree fs.FS, o Options) (*migrate.Document, []config.Diagnostic) {
	notes := &migrate.Notes{}
	doc := &migrate.Document{Head: []string{
		"Made from " + dir + " by `tenterhook import webhookd`; docs/migrating.md says what is different.",
		"Scripts get the variables that they mention, and no others: not those of the daemon, and not every header.",
	}}
	names := map[string]bool{}
	err := fs.WalkDir(tree, ".", func(file string, entry fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case strings.HasPrefix(entry.Name(), ".") && file != ".":
			if entry.IsDir() {
				return fs.SkipDir
			}
			return nil
		case entry.IsDir():
			return nil
		case len(doc.Hooks) == maxScripts:
			return fmt.Errorf("more than %d scripts", maxScripts)
		}
		notes.File = filepath.Join(dir, file)
		if h, ok := script(dir, tree, file, o, names, notes); ok {
			doc.Hooks = append(doc.Hooks, h)
		}
		return nil
	})
	notes.File = dir
	if err != nil {
		notes.Refuse(0, 0, "read the scripts: %s", err)
		return nil, notes.List
	}
	if len(doc.Hooks) == 0 {
		notes.Refuse(0, 0, "no file in it can be run").Hint("chmod +x the scripts")
		return nil, notes.List
	}
	notes.Warn(0, 0, "nothing says who may call: webhookd's password file and trust store are not carried over").
		Hint("give each hook a token: verify: {scheme: token, header: X-Token}, or verify: {scheme: basic, username: …}")
	return doc, notes.List
}

var (
	nameChars = regexp.MustCompile(`[^A-Za-z0-9_.-]+`)
	pathChars = regexp.MustCompile(`[?#%\\\s\x00{}]`)
)

// script is the hook of one file; false when the file is none.
func script(dir string, tree fs.FS, file string, o Options, names map[string]bool, notes *migrate.Notes) (migrate.Hook, bool) {
	info, err := fs.Stat(tree, file)
	if err != nil || !info.Mode().IsRegular() {
		return migrate.Hook{}, false
	}
	address := "/" + strings.TrimSuffix(file, "."+o.Extension)
	switch {
	case info.Mode().Perm()&0o111 == 0:
		notes.Warn(0, 0, "cannot be run, and is left out")
		return migrate.Hook{}, false
	case pathChars.MatchString(address):
		notes.Warn(0, 0, "its path %s has a character that a path here cannot have; it is left out", address)
		return migrate.Hook{}, false
	}
	name := strings.Trim(nameChars.ReplaceAllString(address, "-"), "-")
	name = name[:min(len(name), 60)]
	for n, base := 2, name; names[name]; n++ {
		name = fmt.Sprintf("%s-%d", base, n)
	}
	names[name] = true
	keys := []migrate.Pair{
		{Key: "name", Value: migrate.Text(name)},
		{Key: "path", Value: migrate.Text(address)},
		{Key: "methods", Value: migrate.List{migrate.Text("GET"), migrate.Text("POST")}},
		{Key: "verify", Value: migrate.Word("none"), Comment: "anyone who reaches it starts it"},
		{Key: "dedupe", Value: migrate.Word("none"), Comment: "a request that comes twice runs twice, as before"},
		{Key: "respond", Value: migrate.Map{{Key: "wait", Value: migrate.Word(o.Timeout)}}, Comment: "with the script's output"},
		{Key: "exec", Value: migrate.List{migrate.Text(migrate.InTemplate(filepath.Join(dir, filepath.FromSlash(file)))), migrate.Text("${{ body }}")}},
	}
	if env := variables(tree, file, info.Size()); len(env) > 0 {
		keys = append(keys, migrate.Pair{Key: "env", Value: env})
	}
	keys = append(keys, migrate.Pair{Key: "timeout", Value: migrate.Word(o.Timeout)})
	h := migrate.Hook{Name: name, Keys: keys}
	if ext := path.Ext(file); ext != "" && !strings.HasSuffix(address, ext) {
		h.Notes = []string{"Its address with " + ext + " at the end is gone."}
	}
	return h, true
}

var (
	mentioned = regexp.MustCompile(`\$\{?([a-z][a-z0-9_]*)|os\.(?:environ(?:\.get)?|getenv)[\[(]["']([a-z][a-z0-9_]*)["']|process\.env\.([a-z][a-z0-9_]*)`)
	assigned  = regexp.MustCompile(`(?m)(?:^|[\s;(])(?:local |export |readonly |declare )?([a-z][a-z0-9_]*)=|\b(?:for|read(?: -r)?) ([a-z][a-z0-9_]*)`)
)

// variables are those in small letters that a script reads and does not set: parameters and
// headers of the request, and the daemon's own four.
func variables(tree fs.FS, file string, size int64) migrate.Map {
	if size > maxScript {
		return nil
	}
	src, err := fs.ReadFile(tree, file)
	if err != nil {
		return nil
	}
	set := map[string]bool{}
	for _, m := range assigned.FindAllSubmatch(src, -1) {
		set[string(m[1])+string(m[2])] = true
	}
	var names []string
	for _, m := range mentioned.FindAllSubmatch(src, -1) {
		if name := string(m[1]) + string(m[2]) + string(m[3]); !set[name] && !slices.Contains(names, name) && !slices.Contains(proxies, name) {
			names = append(names, name)
		}
	}
	var out migrate.Map
	for _, name := range names {
		out = append(out, migrate.Pair{Key: name, Value: migrate.Text("${{ " + expression(name) + " }}")})
	}
	return out
}

// proxies are variables that make programs send what they send elsewhere: a caller could set them.
var proxies = []string{"http_proxy", "https_proxy", "ftp_proxy", "all_proxy", "no_proxy"}

// expression is where the value of a variable comes from: a parameter, a field of a form, or the
// header of that name; of names that begin with x_ the header first.
func expression(name string) string {
	switch name {
	case "hook_id":
		return "delivery.id"
	case "hook_name":
		return "hook"
	case "hook_method":
		return "method"
	case "x_forwarded_for":
		return "ip"
	}
	words := strings.Split(name, "_")
	for i, w := range words {
		if w != "" {
			words[i] = strings.ToUpper(w[:1]) + w[1:]
		}
	}
	header, parameter := `header("`+strings.Join(words, "-")+`")`, "query."+name+" ?? form."+name
	if strings.HasPrefix(name, "x_") {
		return header + " ?? " + parameter
	}
	return parameter + " ?? " + header
}
