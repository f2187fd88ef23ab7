package expression

import (
	"slices"

	"github.com/expr-lang/expr/ast"
)

// Constants returns the texts that a name must have for a condition to be true, as far as they are
// written out: event == "push", event in ["push", "release"], and what && and || make of these.
// bounded is false when the condition can be true with other texts too. A source that cannot be
// read bounds nothing.
func Constants(src, name string) (texts []string, bounded bool) {
	tree, err := parse(src)
	if err != nil {
		return nil, false
	}
	return constants(tree.Node, name)
}

func constants(n ast.Node, name string) (texts []string, bounded bool) {
	switch n := n.(type) {
	case *ast.BoolNode:
		return nil, !n.Value
	case *ast.BinaryNode:
		return compared(n, name)
	case *ast.ConditionalNode:
		return either(n.Exp1, n.Exp2, name)
	}
	return nil, false
}

func compared(n *ast.BinaryNode, name string) ([]string, bool) {
	switch n.Operator {
	case "&&", "and":
		left, leftBounded := constants(n.Left, name)
		right, rightBounded := constants(n.Right, name)
		switch {
		case leftBounded && rightBounded:
			return slices.DeleteFunc(left, func(s string) bool { return !slices.Contains(right, s) }), true
		case leftBounded:
			return left, true
		}
		return right, rightBounded
	case "||", "or":
		return either(n.Left, n.Right, name)
	case "==":
		if isNamed(n.Left, name) {
			return texts(n.Right)
		}
		if isNamed(n.Right, name) {
			return texts(n.Left)
		}
	case "in":
		if list, ok := n.Right.(*ast.ArrayNode); ok && isNamed(n.Left, name) {
			return texts(list.Nodes...)
		}
	}
	return nil, false
}

// either is what two conditions need of which one must be true.
func either(a, b ast.Node, name string) ([]string, bool) {
	left, leftBounded := constants(a, name)
	right, rightBounded := constants(b, name)
	return append(left, right...), leftBounded && rightBounded
}

func isNamed(n ast.Node, name string) bool {
	id, ok := n.(*ast.IdentifierNode)
	return ok && id.Value == name
}

// texts are nodes that are all texts.
func texts(nodes ...ast.Node) (all []string, ok bool) {
	for _, n := range nodes {
		text, isText := n.(*ast.StringNode)
		if !isText {
			return nil, false
		}
		all = append(all, text.Value)
	}
	return all, true
}
