package expression

import (
	"errors"
	"math"
	"unicode/utf8"
)

// get is member access in which whatever is missing is nil: a name of a list, an index of a
// mapping, an index that is out of range. Negative indexes count from the end.
func get(of, key any) any {
	switch v := of.(type) {
	case map[string]any:
		if name, ok := key.(string); ok {
			return v[name]
		}
	case headerMap:
		if name, ok := key.(string); ok {
			return v.get(name)
		}
	case []any:
		if i, ok := index(key, len(v)); ok {
			return v[i]
		}
	case []int:
		if i, ok := index(key, len(v)); ok {
			return int64(v[i])
		}
	case string:
		if _, ok := whole(key); ok {
			return character(v, key)
		}
	}
	return nil
}

func walk(v any, keys []any) any {
	for _, key := range keys {
		if v = get(v, key); v == nil {
			return nil
		}
	}
	return v
}

// index is a key as a place in a list of n.
func index(key any, n int) (int, bool) {
	i, ok := whole(key)
	if !ok {
		return 0, false
	}
	if i < 0 {
		i += int64(n)
	}
	return int(i), i >= 0 && i < int64(n)
}

func character(s string, key any) any {
	i, ok := index(key, utf8.RuneCountInString(s))
	if !ok {
		return nil
	}
	from, to := runes(s, i, i+1)
	return s[from:to]
}

// runes are the bytes from where to where the characters from where to where are.
func runes(s string, from, to int) (int, int) {
	start, end, n := len(s), len(s), 0
	for i := range s {
		if n == from {
			start = i
		}
		if n == to {
			end = i
			break
		}
		n++
	}
	return start, end
}

// slice is a part of a list or text. Ends that are out of range are moved into it.
func slice(b *budget, a []any) (any, error) {
	switch v := a[0].(type) {
	case nil:
		return nil, nil
	case []any:
		from, to := part(a, len(v))
		return v[from:to:to], nil
	case []int:
		from, to := part(a, len(v))
		return v[from:to:to], nil
	case string:
		if err := b.spend(2 * len(v)); err != nil {
			return nil, err
		}
		from, to := part(a, utf8.RuneCountInString(v))
		from, to = runes(v, from, to)
		return v[from:to], nil
	}
	return nil, cannot(a[:1], "only lists and text have parts, not %s", sayKind(a[0]))
}

func part(a []any, n int) (from, to int) {
	from, to = edge(a[1], 0, n), edge(a[2], n, n)
	return from, max(from, to)
}

func edge(v any, otherwise, n int) int {
	i, ok := whole(v)
	if !ok {
		return otherwise
	}
	if i < 0 {
		i += int64(n)
	}
	return int(max(0, min(i, int64(n))))
}

func mapKey(_ *budget, a []any) (any, error) {
	if _, ok := a[0].(string); !ok {
		return nil, cannot(a, "a key is text, not %s", sayKind(a[0]))
	}
	return a[0], nil
}

// elements is a value as what a loop goes over; nil is the empty list.
func elements(_ *budget, a []any) (any, error) {
	switch v := a[0].(type) {
	case nil:
		return []any{}, nil
	case []any, []int:
		return v, nil
	}
	return nil, cannot(a, "expected a list, found %s", sayKind(a[0]))
}

// asList is a value as a list; nil is the empty one.
func asList(b *budget, v any) ([]any, error) {
	switch v := v.(type) {
	case nil:
		return nil, nil
	case []any:
		return v, nil
	case []int:
		if err := b.build(24 * len(v)); err != nil {
			return nil, err
		}
		out := make([]any, len(v))
		for i, n := range v {
			out[i] = int64(n)
		}
		return out, nil
	}
	return nil, errors.New("wants a list, not " + sayKind(v))
}

// asMapping is a value as a mapping; nil is the empty one. The budget may be nil.
func asMapping(b *budget, v any) (m map[string]any, ok bool, err error) {
	switch v := v.(type) {
	case nil:
		return nil, true, nil
	case map[string]any:
		return v, true, nil
	case headerMap:
		if b != nil {
			err = b.build(200 * len(v))
		}
		return v.mapping(), err == nil, err
	}
	return nil, false, nil
}

func numbersBetween(b *budget, a []any) (any, error) {
	from, ok := whole(a[0])
	to, ok2 := whole(a[1])
	if !ok || !ok2 {
		return nil, cannot(a, ".. wants whole numbers on both sides, not %s and %s", sayKind(a[0]), sayKind(a[1]))
	}
	if to < from {
		return []int{}, nil
	}
	if n := uint64(to) - uint64(from); n >= maxElements || from < math.MinInt || to > math.MaxInt {
		return nil, errElements
	}
	if err := b.build(8 * int(to-from+1)); err != nil {
		return nil, err
	}
	out := make([]int, to-from+1)
	for i := range out {
		out[i] = int(from) + i
	}
	return out, nil
}

// equal compares by value: numbers of all types, lists element by element, mappings by name.
func equal(b *budget, x, y any) (bool, error) {
	if err := b.spend(nodeCost); err != nil {
		return false, err
	}
	switch x := x.(type) {
	case nil, bool:
		return x == y, nil
	case string:
		s, ok := y.(string)
		return ok && s == x, b.spend(len(s) / 16)
	case []any, []int:
		return equalLists(b, x, y)
	case map[string]any, headerMap:
		return equalMappings(b, x, y)
	}
	if c, ok := compareNumbers(x, y); ok {
		return c == 0, nil
	}
	if c, ok := compareTimes(x, y); ok {
		return c == 0, nil
	}
	return false, nil
}

func equalLists(b *budget, x, y any) (bool, error) {
	if kindOf(y) != list {
		return false, nil
	}
	left, err := asList(b, x)
	if err != nil {
		return false, err
	}
	right, err := asList(b, y)
	if err != nil || len(left) != len(right) {
		return false, err
	}
	for i := range left {
		if same, err := equal(b, left[i], right[i]); err != nil || !same {
			return false, err
		}
	}
	return true, nil
}

func equalMappings(b *budget, x, y any) (bool, error) {
	left, _, err := asMapping(b, x)
	if err != nil {
		return false, err
	}
	right, ok, err := asMapping(b, y)
	if !ok || y == nil || len(left) != len(right) {
		return false, err
	}
	for name, v := range left { // in any order: the result is the same
		other, ok := right[name]
		if !ok {
			return false, nil
		}
		if same, err := equal(b, v, other); err != nil || !same {
			return false, err
		}
	}
	return true, nil
}

// contained is the operator in: an element of a list, or a name of a mapping.
func contained(b *budget, a []any) (any, error) {
	needle := a[0]
	switch v := a[1].(type) {
	case nil:
		return false, nil
	case []any:
		for _, item := range v {
			if same, err := equal(b, needle, item); err != nil || same {
				return same, err
			}
		}
		return false, nil
	case []int: // written as 1..9, and so without gaps
		if len(v) == 0 {
			return false, nil
		}
		i, ok := whole(needle)
		return ok && i >= int64(v[0]) && i <= int64(v[len(v)-1]), nil
	case map[string]any:
		name, ok := needle.(string)
		_, found := v[name]
		return ok && found, nil
	case headerMap:
		name, ok := needle.(string)
		return ok && v.get(name) != nil, nil
	case string:
		return nil, cannot(a, `"in" wants a list or mapping on the right: for text use contains`)
	}
	return nil, cannot(a, `"in" wants a list or mapping on the right, not %s`, sayKind(a[1]))
}
