package expression

import (
	"cmp"
	"errors"
	"math"
	"strconv"
	"strings"
	"time"

	"github.com/tenterhook/tenterhook/internal/request"
)

// numeral is a number of any type: exact when it is whole, and else a float64.
type numeral struct {
	i     int64
	f     float64
	big   string // the digits of a whole number beyond int64
	whole bool   // i holds it
}

func numeralOf(v any) (numeral, bool) {
	switch n := v.(type) {
	case int64:
		return numeral{i: n, whole: true}, true
	case int:
		return numeral{i: int64(n), whole: true}, true
	case float64:
		return numeral{f: n}, true
	case request.Number:
		f, err := strconv.ParseFloat(string(n), 64)
		if err != nil {
			return numeral{}, false // the decoder makes no such
		}
		if strings.ContainsAny(string(n), ".eE") {
			return numeral{f: f}, true
		}
		return numeral{f: f, big: string(n)}, true
	}
	return numeral{}, false
}

// float is the number as a float64, rounded when it must be.
func (n numeral) float() float64 {
	if n.whole {
		return float64(n.i)
	}
	return n.f
}

// whole is a value as an int64, when it is a number without a fraction that fits.
func whole(v any) (int64, bool) {
	n, ok := numeralOf(v)
	switch {
	case !ok || n.big != "":
		return 0, false
	case n.whole:
		return n.i, true
	}
	return int64(n.f), n.f == math.Trunc(n.f) && n.f >= math.MinInt64 && n.f < math.MaxInt64
}

// compareNumbers compares the numbers as they are: an int64 and a float64 by what they stand
// for, not by what one would become as the other.
func compareNumbers(x, y any) (int, bool) {
	if i, ok := x.(int64); ok {
		if j, ok := y.(int64); ok {
			return cmp.Compare(i, j), true
		}
	}
	a, ok := numeralOf(x)
	b, ok2 := numeralOf(y)
	switch {
	case !ok || !ok2:
		return 0, false
	case a.whole && b.whole:
		return cmp.Compare(a.i, b.i), true
	case a.big != "" && b.big != "":
		return compareDigits(a.big, b.big), true
	case a.whole && b.big == "":
		return compareMixed(a.i, b.f), true
	case b.whole && a.big == "":
		return -compareMixed(b.i, a.f), true
	}
	return cmp.Compare(a.float(), b.float()), true // what is beyond int64 is far from what fits
}

// compareMixed compares without rounding i, as float64(i) would.
func compareMixed(i int64, f float64) int {
	switch {
	case f >= math.MaxInt64: // which is 2^63 as a float64
		return -1
	case f < math.MinInt64:
		return 1
	}
	if c := cmp.Compare(i, int64(f)); c != 0 { // int64 cuts the fraction
		return c
	}
	return cmp.Compare(0, f-math.Trunc(f))
}

// compareDigits compares whole numbers as JSON writes them.
func compareDigits(a, b string) int {
	negative := a[0] == '-'
	if negative != (b[0] == '-') {
		if negative {
			return -1
		}
		return 1
	}
	c := cmp.Or(cmp.Compare(len(a), len(b)), strings.Compare(a, b))
	if negative {
		return -c
	}
	return c
}

func compareTimes(x, y any) (int, bool) {
	switch x := x.(type) {
	case time.Time:
		y, ok := y.(time.Time)
		return x.Compare(y), ok
	case time.Duration:
		y, ok := y.(time.Duration)
		return cmp.Compare(x, y), ok
	}
	return 0, false
}

// ordering compares two numbers, texts, times or durations.
func ordering(holds func(c int) bool) func(*budget, []any) (any, error) {
	return func(b *budget, a []any) (any, error) {
		c, ok := compareNumbers(a[0], a[1])
		if !ok {
			c, ok = compareTimes(a[0], a[1])
		}
		if s, isText := a[0].(string); isText {
			var t string
			t, ok = a[1].(string)
			c = strings.Compare(s, t)
			if err := b.spend(len(s) / 16); err != nil {
				return nil, err
			}
		}
		if !ok {
			return nil, cannot(a, "cannot compare %s with %s", sayKind(a[0]), sayKind(a[1]))
		}
		return holds(c), nil
	}
}

var (
	errOverflow = errors.New("the result does not fit into 64 bits")
	errInfinite = errors.New("the result is not a number")
	errDivide   = errors.New("division by zero")
)

func finite(f float64) (any, error) {
	if math.IsNaN(f) || math.IsInf(f, 0) {
		return nil, errInfinite
	}
	return f, nil
}

// calculate computes with whole numbers exactly, or else with float64.
func calculate(a []any, verb string, exact func(x, y int64) (any, error), rough func(x, y float64) (any, error)) (any, error) {
	x, ok := numeralOf(a[0])
	y, ok2 := numeralOf(a[1])
	var v any
	var err error
	switch {
	case !ok || !ok2:
		return nil, cannot(a, "cannot %s %s and %s", verb, sayKind(a[0]), sayKind(a[1]))
	case x.big != "" || y.big != "":
		err = errors.New("cannot compute with whole numbers of more than 64 bits")
	case x.whole && y.whole && exact != nil:
		v, err = exact(x.i, y.i)
	default:
		v, err = rough(x.float(), y.float())
	}
	if err != nil {
		return nil, cannot(a, "%s", err)
	}
	return v, nil
}

// add adds numbers, joins text within the budget, and moves times.
func add(b *budget, a []any) (any, error) {
	switch x := a[0].(type) {
	case string:
		if y, ok := a[1].(string); ok {
			if err := b.build(len(x) + len(y)); err != nil {
				return nil, err
			}
			return x + y, nil
		}
	case time.Time:
		if y, ok := a[1].(time.Duration); ok {
			return x.Add(y), nil
		}
	case time.Duration:
		switch y := a[1].(type) {
		case time.Time:
			return y.Add(x), nil
		case time.Duration:
			return x + y, nil
		}
	}
	return calculate(a, "add",
		func(x, y int64) (any, error) {
			if sum := x + y; (sum > x) == (y > 0) {
				return sum, nil
			}
			return nil, errOverflow
		},
		func(x, y float64) (any, error) { return finite(x + y) })
}

func subtract(_ *budget, a []any) (any, error) {
	switch x := a[0].(type) {
	case time.Time:
		switch y := a[1].(type) {
		case time.Time:
			return x.Sub(y), nil
		case time.Duration:
			return x.Add(-y), nil
		}
	case time.Duration:
		if y, ok := a[1].(time.Duration); ok {
			return x - y, nil
		}
	}
	return calculate(a, "subtract",
		func(x, y int64) (any, error) {
			if difference := x - y; (difference < x) == (y > 0) {
				return difference, nil
			}
			return nil, errOverflow
		},
		func(x, y float64) (any, error) { return finite(x - y) })
}

func multiply(_ *budget, a []any) (any, error) {
	for i := range a {
		if d, ok := a[i].(time.Duration); ok {
			return scale(a, d, a[1-i])
		}
	}
	return calculate(a, "multiply",
		func(x, y int64) (any, error) {
			product := x * y
			if x != 0 && (product/x != y || x == -1 && y == math.MinInt64) {
				return nil, errOverflow
			}
			return product, nil
		},
		func(x, y float64) (any, error) { return finite(x * y) })
}

func scale(a []any, d time.Duration, by any) (any, error) {
	n, ok := numeralOf(by)
	if !ok {
		return nil, cannot(a, "cannot multiply %s and %s", sayKind(a[0]), sayKind(a[1]))
	}
	f := float64(d) * n.float()
	if !(math.Abs(f) < math.MaxInt64) {
		return nil, cannot(a, "%s", errOverflow)
	}
	return time.Duration(f), nil
}

func divide(_ *budget, a []any) (any, error) {
	return calculate(a, "divide", nil, func(x, y float64) (any, error) {
		if y == 0 {
			return nil, errDivide
		}
		return finite(x / y)
	})
}

func remainder(_ *budget, a []any) (any, error) {
	return calculate(a, "divide",
		func(x, y int64) (any, error) {
			if y == 0 {
				return nil, errDivide
			}
			return x % y, nil
		},
		func(x, y float64) (any, error) {
			if y == 0 {
				return nil, errDivide
			}
			return finite(math.Mod(x, y))
		})
}

func power(_ *budget, a []any) (any, error) {
	return calculate(a, "raise", nil, func(x, y float64) (any, error) { return finite(math.Pow(x, y)) })
}

func negate(a []any) (any, error) {
	if d, ok := a[0].(time.Duration); ok {
		return -d, nil
	}
	n, ok := numeralOf(a[0])
	switch {
	case !ok:
		return nil, cannot(a, "- wants a number, not %s", sayKind(a[0]))
	case n.big != "" || n.whole && n.i == math.MinInt64:
		return nil, cannot(a, "%s", errOverflow)
	case n.whole:
		return -n.i, nil
	}
	return -n.f, nil
}

func plus(a []any) (any, error) {
	if kindOf(a[0]) != number && kindOf(a[0]) != duration {
		return nil, cannot(a, "+ wants a number, not %s", sayKind(a[0]))
	}
	return a[0], nil
}

// total adds the elements of a list of numbers.
func total(b *budget, a []any) (any, error) {
	items, err := asList(b, a[0])
	if err != nil {
		return nil, cannot(a, "sum %s", err)
	}
	var sum any = int64(0)
	for i, item := range items {
		if err := b.step(1); err != nil {
			return nil, err
		}
		if kindOf(item) != number && kindOf(item) != duration {
			return nil, cannot(a, "sum wants numbers, not %s", sayKind(item))
		}
		if i == 0 {
			sum = item
		} else if sum, err = add(b, []any{sum, item}); err != nil {
			return nil, err
		}
	}
	return sum, nil
}
