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

// kindOfNode is what an expression will come to, nil apart, where that is known before it is
// evaluated.
func kindOfNode(n ast.Node) kind {
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
		return names[n.Value].kind
	case *ast.UnaryNode:
		if n.Operator == "!" || n.Operator == "not" {
			return condition
		}
		return kindOfNode(n.Node)
	case *ast.BinaryNode:
		return kindOfOperation(n)
	case *ast.CallNode:
		if callee, ok := n.Callee.(*ast.IdentifierNode); ok {
			return functions[callee.Value].gives
		}
	case *ast.BuiltinNode:
		return loops[n.Name]
	case *ast.MemberNode:
		return kindOfMember(n)
	case *ast.ChainNode:
		return kindOfNode(n.Node)
	case *ast.ConditionalNode:
		return common(kindOfNode(n.Exp1), kindOfNode(n.Exp2))
	case *ast.SequenceNode, *ast.VariableDeclaratorNode:
		return kindOfNode(body(n))
	}
	return unknown
}

func kindOfMember(n *ast.MemberNode) kind {
	base, isName := n.Node.(*ast.IdentifierNode)
	field, isText := n.Property.(*ast.StringNode)
	if isName && isText {
		return names[base.Value+"."+field.Value].kind
	}
	return unknown
}

func kindOfOperation(n *ast.BinaryNode) kind {
	if isCondition(n.Operator) {
		return condition
	}
	left, right := kindOfNode(n.Left), kindOfNode(n.Right)
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
