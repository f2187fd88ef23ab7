package expression

import (
	"fmt"
	"slices"
	"strings"
)

// rounding makes a whole number of a fraction; whole numbers stay what they are, whatever their
// size.
func rounding(toward func(float64) float64) func(*budget, []any) (any, error) {
	return func(_ *budget, a []any) (any, error) {
		n, ok := numeralOf(a[0])
		switch {
		case !ok:
			return nil, fmt.Errorf("wants a number, not %s", sayKind(a[0]))
		case n.whole:
			return n.i, nil
		case n.big != "":
			return a[0], nil
		}
		if i, ok := whole(toward(n.f)); ok {
			return i, nil
		}
		return toward(n.f), nil
	}
}

// getFunction is a[b] with the rules of a[b]: what is missing is nil.
func getFunction(_ *budget, a []any) (any, error) { return get(a[0], a[1]), nil }

// fresh is a copy of a list that may be changed.
func fresh(b *budget, v any) ([]any, error) {
	items, err := asList(b, v)
	if err != nil {
		return nil, err
	}
	if err := b.list(len(items)); err != nil {
		return nil, err
	}
	return append(make([]any, 0, len(items)), items...), nil
}

// list takes the memory of a list that is about to be made.
func (b *budget) list(n int) error {
	if n > maxElements {
		return errElements
	}
	return b.build(16 * n)
}

func reverseFunction(b *budget, a []any) (any, error) {
	out, err := fresh(b, a[0])
	slices.Reverse(out)
	return out, err
}

// takeFunction is the first elements of a list, all of them when there are fewer.
func takeFunction(b *budget, a []any) (any, error) {
	n, ok := whole(a[1])
	if !ok || n < 0 {
		return nil, fmt.Errorf("wants how many, a whole number from 0, not %s", sayKind(a[1]))
	}
	items, err := asList(b, a[0])
	if err != nil {
		return nil, err
	}
	return items[:min(int64(len(items)), n)], nil
}

func concatFunction(b *budget, a []any) (any, error) {
	out := []any{}
	for _, v := range a {
		items, err := asList(b, v)
		if err != nil {
			return nil, err
		}
		if err := b.list(len(out) + len(items)); err != nil {
			return nil, err
		}
		out = append(out, items...)
	}
	return out, nil
}

// flattenFunction puts the elements of the lists in a list into one list, at every depth.
func flattenFunction(b *budget, a []any) (any, error) {
	items, err := asList(b, a[0])
	if err != nil {
		return nil, err
	}
	out := []any{}
	if err := flatten(b, items, &out); err != nil {
		return nil, err
	}
	return out, nil
}

func flatten(b *budget, items []any, out *[]any) error {
	for _, item := range items {
		if err := b.step(1); err != nil {
			return err
		}
		if inner, ok := item.([]any); ok {
			if err := flatten(b, inner, out); err != nil { // no deeper than a body may be
				return err
			}
			continue
		}
		if len(*out) >= maxElements {
			return errElements
		}
		*out = append(*out, item)
	}
	return nil
}

// sortFunction sorts numbers, texts or times; a list of different kinds has no order.
func sortFunction(b *budget, a []any) (any, error) {
	out, err := fresh(b, a[0])
	if err != nil {
		return nil, err
	}
	var failed error
	slices.SortStableFunc(out, func(x, y any) int {
		if failed != nil {
			return 0
		}
		var c int
		c, failed = compareAny(b, x, y)
		return c
	})
	if failed != nil {
		return nil, failed
	}
	return out, nil
}

func compareAny(b *budget, x, y any) (int, error) {
	if err := b.step(1); err != nil {
		return 0, err
	}
	if c, ok := compareNumbers(x, y); ok {
		return c, nil
	}
	if c, ok := compareTimes(x, y); ok {
		return c, nil
	}
	s, ok := x.(string)
	t, ok2 := y.(string)
	if !ok || !ok2 {
		return 0, fmt.Errorf("cannot compare %s with %s", sayKind(x), sayKind(y))
	}
	return strings.Compare(s, t), b.spend(min(len(s), len(t)))
}

// meanFunction is the average of numbers; nil of none.
func meanFunction(b *budget, a []any) (any, error) {
	items, err := asList(b, a[0])
	if err != nil || len(items) == 0 {
		return nil, err
	}
	sum := 0.0
	for _, item := range items {
		if err := b.step(1); err != nil {
			return nil, err
		}
		n, ok := numeralOf(item)
		if !ok {
			return nil, fmt.Errorf("wants numbers, not %s", sayKind(item))
		}
		sum += n.float()
	}
	return finite(sum / float64(len(items)))
}

// medianFunction is the number in the middle; nil of none, and the average of the two in the middle
// of an even number of them.
func medianFunction(b *budget, a []any) (any, error) {
	items, err := fresh(b, a[0])
	if err != nil || len(items) == 0 {
		return nil, err
	}
	numbers := make([]float64, len(items))
	for i, item := range items {
		if err := b.step(1); err != nil {
			return nil, err
		}
		n, ok := numeralOf(item)
		if !ok {
			return nil, fmt.Errorf("wants numbers, not %s", sayKind(item))
		}
		numbers[i] = n.float()
	}
	slices.Sort(numbers)
	middle := len(numbers) / 2
	if len(numbers)%2 == 1 {
		return finite(numbers[middle])
	}
	return finite(numbers[middle-1]/2 + numbers[middle]/2)
}

// toPairsFunction is a mapping as a list of [name, value], in the order of the names.
func toPairsFunction(b *budget, a []any) (any, error) {
	m, keys, err := b.sorted(a[0])
	if err != nil {
		return nil, err
	}
	out := make([]any, len(keys))
	for i, key := range keys {
		out[i] = []any{key, m[key]}
	}
	return out, b.build(64 * len(keys))
}

// fromPairsFunction makes a mapping of a list of [name, value]; of a name that repeats the last
// one counts.
func fromPairsFunction(b *budget, a []any) (any, error) {
	items, err := asList(b, a[0])
	if err != nil {
		return nil, err
	}
	if err := b.list(4 * len(items)); err != nil {
		return nil, err
	}
	out := make(map[string]any, len(items))
	for _, item := range items {
		if err := b.step(1); err != nil {
			return nil, err
		}
		pair, _ := item.([]any)
		if len(pair) != 2 {
			return nil, fmt.Errorf("wants a list of [name, value], not of %s", sayKind(item))
		}
		name, ok := pair[0].(string)
		if !ok {
			return nil, fmt.Errorf("wants names that are text, not %s", sayKind(pair[0]))
		}
		out[name] = pair[1]
	}
	return out, nil
}
