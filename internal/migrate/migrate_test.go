package migrate

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/tenterhook/tenterhook/internal/config"
)

// awkward are texts that YAML would take for something else.
var awkward = []string{
	"", " ", "a ", " a", "~", "yes", "N", "null", "true", "1", "0x1f", "1e3", "1.5", "-1", ".5", "-", "- a", "? a", ":", "a:", "a: b", "a #b", "#a", "a,b", "[a]", "{a}",
	"&a", "*a", "!a", "|", ">", "%a", "@a", "`a`", `"a"`, "'a'", `a"b`, "a'b", `a\b`, "a\nb", "a\n", "\ta", "é", "\u2028", "a\u0085b", "10.0.0.0/8", "2026-01-02",
	"12:30:45", "=", "<<", "a  b", "...", "---", ".", "payload.a[0] == \"x\"", "a, b", "x ? y : z", "$a", "${a}", "${{ a }}", "a\\", "'", `"`, "\ufeff", "🎣",
}

func texts() *rapid.Generator[string] {
	return rapid.OneOf(rapid.SampledFrom(awkward), rapid.StringMatching(`[ -~]{0,40}`), rapid.Custom(func(t *rapid.T) string {
		return strings.Map(func(r rune) rune {
			if r < ' ' && r != '\n' && r != '\t' || r >= 0x7f && r < 0xa0 || r == 0xfffe || r == 0xffff {
				return -1 // no configuration can have it
			}
			return r
		}, rapid.String().Draw(t, "any"))
	}))
}

// TestDocument_IsReadAsItWasMeant writes what is hard to write, in every place a value can have.
func TestDocument_IsReadAsItWasMeant(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		draw := func(what string) string { return texts().Draw(t, what) }
		list := rapid.SliceOfN(texts(), 1, 8).Draw(t, "list")
		var items List
		for _, s := range list {
			items = append(items, Text(s))
		}
		key := rapid.StringMatching(`[A-Za-z][A-Za-z_.-]{0,20}`).Draw(t, "key")
		parts := rapid.SliceOfN(rapid.StringMatching(`[!-~]([ -~]{0,60}[!-~])?`), 1, 3).Draw(t, "parts")
		text, nested, comment := draw("text"), draw("nested"), rapid.StringMatching(`[ -~]{0,20}`).Draw(t, "comment")
		doc := Document{Head: []string{comment}, Hooks: []Hook{
			{Refused: nested, Name: text, Original: []string{comment}},
			{Name: "a", Notes: []string{comment}, Keys: []Pair{
				{Key: "text", Value: Text(text), Comment: comment},
				{Key: "list", Value: items},
				{Key: "map", Value: Map{{Key: key, Value: Text(nested), Comment: comment}, {Key: "in_list", Value: List{Map{{Key: "k", Value: Text(text)}}}}}},
				{Key: "expression", Value: Expression{Parts: parts}},
				{Key: "flow", Value: Map{{Key: "e", Value: Expression{Parts: parts}}}},
			}},
		}}
		src := doc.Bytes()
		file, d := config.Parse("hooks.yaml", src, config.Options{})
		if file == nil {
			t.Fatalf("%v\n%s", d.Err(), src)
		}
		read := func(n config.Node) string { return n.Literal().Value }
		hooks := file.Root.Find("hooks").List()
		if len(hooks) != 1 {
			t.Fatalf("%d hooks of\n%s", len(hooks), src)
		}
		h := hooks[0]
		var got []string
		for _, item := range h.Find("list").List() {
			got = append(got, read(item))
		}
		joined := strings.Join(parts, " ")
		for what, pair := range map[string][2]string{
			"text": {text, read(h.Find("text"))}, "list": {strings.Join(list, "\x00"), strings.Join(got, "\x00")},
			"map": {nested, read(h.Find("map", key))}, "map in a list": {text, read(h.Find("map", "in_list").List()[0].Find("k"))},
			"expression": {joined, read(h.Find("expression"))}, "expression in brackets": {joined, read(h.Find("flow", "e"))},
		} {
			if diff := cmp.Diff(pair[0], pair[1]); diff != "" {
				t.Fatalf("%s: meant -, read +:\n%s\n%s", what, diff, src)
			}
		}
	})
}

func TestLiteral_WritesDollarSignsSoThatNothingIsExpanded(t *testing.T) {
	for in, want := range map[string]string{"$": "$", "$5": "$5", "a$": "a$", "${X}": "$${X}", "$$": "$$$", "$${X}": "$$$${X}", "^x$": "^x$"} {
		if got := Literal(in); got != want {
			t.Errorf("%q is written %q, want %q", in, got, want)
		}
		file, d := config.Parse("x.yaml", []byte("hooks: ["+Text(Literal(in)).flow()+"]"), config.Options{})
		if file == nil {
			t.Fatal(d.Err())
		}
		if got := file.Root.Find("hooks").List()[0].Text(d).Value; got != in || d.Err() != nil {
			t.Errorf("%q is read as %q: %v", in, got, d.Err())
		}
	}
}
