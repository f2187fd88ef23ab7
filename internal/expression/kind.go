package expression

import (
	"strings"
	"time"

	"github.com/expr-lang/expr/ast"

	"github.com/tenterhook/tenterhook/internal/request"
)

// kind is what a value is, in the words people are told.
type kind string

const (
	unknown   kind = ""
	null      kind = "nil"
	condition kind = "condition"
	text      kind = "text"
	number    kind = "number"
	list      kind = "list"
	mapping   kind = "mapping"
	instant   kind = "time"
	duration  kind = "duration"
)

func (k kind) article() string {
	switch {
	case k == null:
		return "nil"
	case strings.ContainsAny(string(k[:1]), "aeio"):
		return "an " + string(k)
	}
	return "a " + string(k)
}

// kindOf is what a value is.
func kindOf(v any) kind {
	switch v.(type) {
	case nil:
		return null
	case bool:
		return condition
	case string:
		return text
	case []any, []int:
		return list
	case map[string]any, headerMap:
		return mapping
	case time.Time:
		return instant
	case time.Duration:
		return duration
	case int64, int, float64, request.Number:
		return number
	}
	return unknown
}

// sayKind names what a value is in an error.
func sayKind(v any) string {
	switch k := kindOf(v); k {
	case unknown:
		return "a value of another kind"
	case condition:
		return "true or false"
	case text:
		return "text"
	default:
		return k.article()
	}
}

// kinds knows what expressions come to, but for these names: they are let: values.
type kinds map[string]bool

// kindsIn are those of a scope.
func kindsIn(s Scope) kinds {
	k := kinds{}
	for _, name := range s.Lets {
		k[name] = true
	}
	return k
}

// of is what an expression will come to, nil apart, where that is known before it is
// evaluated.
func (k kinds) of(n ast.Node) kind {
	switch n := n.(type) {
	case *ast.NilNode:
		return null
	case *ast.BoolNode:
		return condition
	case *ast.StringNode:
		return text
	case *ast.IntegerNode, *ast.FloatNode:
		return number
	case *ast.ArrayNode:
		return list
	case *ast.MapNode:
		return mapping
	case *ast.IdentifierNode:
		if k[n.Value] {
			return unknown
		}
		return names[n.Value].kind
	case *ast.UnaryNode:
		if n.Operator == "!" || n.Operator == "not" {
			return condition
		}
		return k.of(n.Node)
	case *ast.BinaryNode:
		return k.ofOperation(n)
	case *ast.CallNode:
		if callee, ok := n.Callee.(*ast.IdentifierNode); ok {
			return functions[callee.Value].gives
		}
	case *ast.BuiltinNode:
		return loops[n.Name]
	case *ast.MemberNode:
		return k.ofMember(n)
	case *ast.ChainNode:
		return k.of(n.Node)
	case *ast.ConditionalNode:
		return common(k.of(n.Exp1), k.of(n.Exp2))
	case *ast.SequenceNode, *ast.VariableDeclaratorNode:
		return k.of(body(n))
	}
	return unknown
}

func (kinds) ofMember(n *ast.MemberNode) kind {
	base, isName := n.Node.(*ast.IdentifierNode)
	field, isText := n.Property.(*ast.StringNode)
	if isName && isText {
		return names[base.Value+"."+field.Value].kind
	}
	return unknown
}

func (k kinds) ofOperation(n *ast.BinaryNode) kind {
	if isCondition(n.Operator) {
		return condition
	}
	left, right := k.of(n.Left), k.of(n.Right)
	switch n.Operator {
	case "..":
		return list
	case "??":
		if left == null {
			return right
		}
		return common(left, right)
	case "+", "-", "*", "/", "%", "**", "^":
		switch {
		case left == instant || right == instant || left == duration || right == duration:
			return unknown
		case left == text || right == text:
			return text
		case n.Operator != "+" && n.Operator != "-" && n.Operator != "*" && n.Operator != "/":
			return number
		case left == number && right == number:
			return number
		}
	}
	return unknown
}

// common is the kind of a value that is one of two.
func common(a, b kind) kind {
	switch {
	case a == b || b == null:
		return a
	case a == null:
		return b
	case a != unknown && b != unknown && a != condition && b != condition:
		return a // either way it is no condition
	}
	return unknown
}

// isCondition reports whether an operator's result is true or false.
func isCondition(operator string) bool {
	switch operator {
	case "==", "!=", "<", "<=", ">", ">=", "in", "contains", "startsWith", "endsWith", "matches", "&&", "||", "and", "or":
		return true
	}
	return false
}
