package expression

import (
	"sort"
	"unicode/utf8"

	"github.com/expr-lang/expr/ast"
	"github.com/expr-lang/expr/file"
	"github.com/expr-lang/expr/parser/lexer"
)

// spans finds the text a node was made of. The library gives each node the place of one token
// only: a node's text is from the first to the last token of it and its parts, made longer
// until the brackets in it match.
type spans struct {
	src    string
	tokens []lexer.Token
	bytes  []int // where each character of the source begins, and its end
}

func newSpans(src string) *spans {
	tokens, err := lexer.Lex(file.NewSource(src))
	if err != nil {
		tokens = nil // it was compiled, so this does not happen
	}
	bytes := make([]int, 0, len(src)+1)
	for i := range src {
		bytes = append(bytes, i)
	}
	return &spans{src, tokens, append(bytes, len(src))}
}

// text is a node as it was written, bounded.
func (s *spans) text(n ast.Node) string {
	from, to := s.of(n)
	return cut(s.src[from:to])
}

// of is where a node's text is, in bytes.
func (s *spans) of(n ast.Node) (from, to int) {
	r := tokenRange{first: len(s.tokens), last: -1}
	s.cover(n, &r)
	if r.last < 0 {
		l := n.Location()
		return s.byteAt(l.From), s.byteAt(l.To)
	}
	s.balance(&r)
	return s.byteAt(s.tokens[r.first].From), s.byteAt(s.tokens[r.last].To)
}

func (s *spans) byteAt(character int) int {
	return s.bytes[max(0, min(character, len(s.bytes)-1))]
}

type tokenRange struct{ first, last int }

func (r *tokenRange) add(i int) { r.first, r.last = min(r.first, i), max(r.last, i) }

// cover adds the tokens of a node and its parts.
func (s *spans) cover(n ast.Node, r *tokenRange) {
	for _, child := range children(n) {
		s.cover(child, r)
	}
	i, ok := s.token(n.Location())
	switch n := n.(type) {
	case *ast.ConditionalNode, *ast.PairNode, *ast.SequenceNode:
		if c, isIf := n.(*ast.ConditionalNode); isIf && !c.Ternary && r.first > 0 && s.tokens[r.first-1].Value == "if" {
			r.add(r.first - 1)
		}
		return // their places are those of other things
	case *ast.VariableDeclaratorNode:
		if ok && i > 0 {
			r.add(i - 1) // let
		}
	case *ast.CallNode, *ast.BuiltinNode:
		if ok && i+1 < len(s.tokens) {
			r.add(i + 1) // its bracket
		}
	case *ast.PointerNode:
		if ok && n.Name != "" && i+1 < len(s.tokens) {
			r.add(i + 1)
		}
	}
	if ok {
		r.add(i)
	}
}

// token finds the token that begins at a place.
func (s *spans) token(l file.Location) (int, bool) {
	i := sort.Search(len(s.tokens), func(i int) bool { return s.tokens[i].From >= l.From })
	return i, i < len(s.tokens) && s.tokens[i].From == l.From && s.tokens[i].Kind != lexer.EOF
}

// balance makes the range longer until every bracket in it has its other half in it.
func (s *spans) balance(r *tokenRange) {
	opened, closed := 0, 0 // without their other half
	for _, t := range s.tokens[r.first : r.last+1] {
		switch bracket(t) {
		case 1:
			opened++
		case -1:
			if opened == 0 {
				closed++
			} else {
				opened--
			}
		}
	}
	for depth := 0; closed > 0 && r.first > 0; {
		r.first--
		switch d := bracket(s.tokens[r.first]); {
		case d == 1 && depth == 0:
			closed--
		default:
			depth -= d
		}
	}
	for depth := 0; opened > 0 && r.last+1 < len(s.tokens); {
		r.last++
		switch d := bracket(s.tokens[r.last]); {
		case d == -1 && depth == 0:
			opened--
		default:
			depth += d
		}
	}
}

func bracket(t lexer.Token) int {
	if t.Kind == lexer.Bracket {
		switch t.Value {
		case "(", "[", "{":
			return 1
		case ")", "]", "}":
			return -1
		}
	}
	return 0
}

// maxExpr bounds an expression that is shown, in bytes.
const maxExpr = 200

func cut(s string) string {
	if len(s) <= maxExpr {
		return s
	}
	end := maxExpr
	for end > 0 && !utf8.RuneStart(s[end]) {
		end--
	}
	return s[:end] + "…"
}
