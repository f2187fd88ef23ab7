package expression

import (
	"errors"
	"testing"
)

func TestValue_FunctionsOfListsAndNumbers(t *testing.T) {
	testValues(t, []valueCase{
		{`get(payload.a, "b")[0]`, int64(1)},
		{`get(payload.nope, "b")`, nil},
		{`toJSON([1, "a", nil])`, `[1,"a",null]`},
		{`reverse([1, 2, 3])`, []any{int64(3), int64(2), int64(1)}},
		{`reverse(payload.nope)`, []any{}},
		{`take([1, 2, 3], 2)`, []any{int64(1), int64(2)}},
		{`take([1], 5)`, []any{int64(1)}},
		{`concat([1], ["a"], payload.nope)`, []any{int64(1), "a"}},
		{`flatten([1, [2, [3, []]], "a"])`, []any{int64(1), int64(2), int64(3), "a"}},
		{`sort(["b", "a", "B"])`, []any{"B", "a", "b"}},
		{`sort([2, 1.5, -1])`, []any{int64(-1), 1.5, int64(2)}},
		{`sort(payload.list) == payload.list`, true},
		{`mean([1, 2, 3])`, 2.0},
		{`mean([])`, nil},
		{`median([3, 1, 2])`, 2.0},
		{`median([4, 1, 2, 3])`, 2.5},
		{`median(nil)`, nil},
		{`lastIndexOf("a/b/ü/c", "/")`, int64(5)},
		{`lastIndexOf("abc", "/")`, int64(-1)},
		{`toPairs({"b": 1, "a": nil})`, []any{[]any{"a", nil}, []any{"b", int64(1)}}},
		{`toPairs(nil)`, []any{}},
		{`fromPairs([["a", 1], ["b", 2], ["a", 3]]).a`, int64(3)},
		{`fromPairs(toPairs({"x": 1})).x`, int64(1)},
		{`round(1.5)`, int64(2)},
		{`ceil(1.2)`, int64(2)},
		{`floor(-1.2)`, int64(-2)},
		{`floor(9007199254740993)`, int64(9007199254740993)},
	})
}

func TestValue_FunctionsOfListsRefuseWhatHasNoAnswer(t *testing.T) {
	for _, expr := range []string{
		`sort([1, "a", 2])`, `take([1], -1)`, `take([1], "x")`, `mean(["a"])`, `median(["a"])`, `fromPairs([1])`, `fromPairs([[1, 2]])`, `fromPairs([["a"]])`, `toPairs([1])`, `round("x")`, `reverse("text")`,
		`reduce(1..40, concat(#acc, #acc), [1])`,
	} {
		var eval *EvalError
		if v, err := mustCompile(t, expr, Scope{}).Value(input(sample)); !errors.As(err, &eval) {
			t.Errorf("%s: got %v, %v", expr, v, err)
		}
	}
}
