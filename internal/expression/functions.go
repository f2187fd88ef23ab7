package expression

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/tenterhook/tenterhook/internal/request"
)

// function is one that people can call.
type function struct {
	least, most int  // arguments
	gives       kind // unknown where it differs
	usage       string
	run         func(b *budget, a []any) (any, error)

	// prepare compiles arguments that are written out, by place: a mistake in one is found at
	// load, and run gets the result instead of the text.
	prepare map[int]func(string) (any, error)
}

func (f function) takes() string {
	switch {
	case f.least == f.most && f.most == 0:
		return "no arguments"
	case f.least == f.most && f.most == 1:
		return "one argument"
	case f.least == f.most:
		return fmt.Sprintf("%d arguments", f.most)
	}
	return fmt.Sprintf("%d to %d arguments", f.least, f.most)
}

// call is the function for the library. Its errors say its name and what it was called with.
func (f function) call(name string) func(b *budget, a []any) (any, error) {
	return func(b *budget, a []any) (any, error) {
		if err := b.step(2); err != nil {
			return nil, err
		}
		v, err := f.run(b, a)
		if err == nil || b.exceeded != nil || errors.Is(err, errElements) {
			return v, err
		}
		var undecodable *request.DecodeError
		if errors.As(err, &undecodable) {
			return nil, err
		}
		return nil, cannot(a, "%s: %s", name, err)
	}
}

// many is the most arguments a function that takes any number may get.
const many = 32

var functions map[string]function

func init() { // what they run refers to evaluation, which refers to functions
	functions = map[string]function{
		"header":      {least: 1, most: 1, gives: text, usage: `header("X-Name")`, run: headerFunction},
		"glob":        {least: 2, most: 2, gives: condition, usage: `glob("docs/**", path)`, run: globFunction, prepare: at(0, prepareGlob)},
		"cidr":        {least: 2, most: 2, gives: condition, usage: `cidr("10.0.0.0/8", ip)`, run: cidrFunction, prepare: at(0, prepareNetwork)},
		"semver":      {least: 3, most: 3, gives: condition, usage: `semver(tag, ">=", "1.2.0")`, run: semverFunction, prepare: semverPrepare},
		"age":         {least: 1, most: 1, gives: duration, usage: `age(payload.created_at) < duration("5m")`, run: ageFunction},
		"in_window":   {least: 1, most: 2, gives: condition, usage: `in_window("Mon-Fri 09:00-17:00", "Europe/Berlin")`, run: windowFunction, prepare: windowPrepare},
		"now":         {gives: instant, usage: "now()", run: func(b *budget, _ []any) (any, error) { return b.in.now(), nil }},
		"date":        {least: 1, most: 1, gives: instant, usage: `date("2026-01-02T15:04:05Z")`, run: func(_ *budget, a []any) (any, error) { return toInstant(a[0]) }, prepare: at(0, prepareDate)},
		"duration":    {least: 1, most: 1, gives: duration, usage: `duration("5m")`, run: durationFunction, prepare: at(0, prepareDuration)},
		"short":       {least: 1, most: 1, gives: text, usage: "short(sha)", run: textFunction(func(s string) string { return s[:min(len(s), 7)] })},
		"json":        {least: 1, most: 1, gives: text, usage: "json(payload)", run: func(b *budget, a []any) (any, error) { return b.json(a[0]) }},
		"fromJSON":    {least: 1, most: 2, usage: "fromJSON(form.data)", run: fromJSON},
		"text":        {least: 1, most: 1, usage: "text(payload.n)", run: textOf},
		"string":      {least: 1, most: 1, gives: text, usage: "string(payload.n)", run: func(b *budget, a []any) (any, error) { return b.format(a[0]) }},
		"at":          {least: 2, most: 2, usage: `at(payload, "a.0.b")`, run: atFunction},
		"fromBase64":  {least: 1, most: 1, gives: text, usage: "fromBase64(payload.data)", run: fromBase64},
		"toBase64":    {least: 1, most: 1, gives: text, usage: "toBase64(body)", run: toBase64},
		"len":         {least: 1, most: 1, gives: number, usage: "len(payload.commits)", run: lenFunction},
		"lower":       {least: 1, most: 1, gives: text, usage: "lower(branch)", run: textFunction(strings.ToLower)},
		"upper":       {least: 1, most: 1, gives: text, usage: "upper(branch)", run: textFunction(strings.ToUpper)},
		"trim":        {least: 1, most: 2, gives: text, usage: "trim(s)", run: trimFunction},
		"trimPrefix":  {least: 2, most: 2, gives: text, usage: `trimPrefix(tag, "v")`, run: cutFunction(strings.TrimPrefix)},
		"trimSuffix":  {least: 2, most: 2, gives: text, usage: `trimSuffix(name, ".git")`, run: cutFunction(strings.TrimSuffix)},
		"hasPrefix":   {least: 2, most: 2, gives: condition, usage: `hasPrefix(branch, "release/")`, run: textOperator("hasPrefix", strings.HasPrefix)},
		"hasSuffix":   {least: 2, most: 2, gives: condition, usage: `hasSuffix(file, ".go")`, run: textOperator("hasSuffix", strings.HasSuffix)},
		"indexOf":     {least: 2, most: 2, gives: number, usage: `indexOf(s, "x")`, run: indexFunction},
		"lastIndexOf": {least: 2, most: 2, gives: number, usage: `lastIndexOf(path, "/")`, run: lastIndexFunction},
		"split":       {least: 2, most: 3, gives: list, usage: `split(branch, "/")`, run: splitFunction},
		"join":        {least: 1, most: 2, gives: text, usage: `join(changed_files, " ")`, run: joinFunction},
		"replace":     {least: 3, most: 3, gives: text, usage: `replace(branch, "/", "-")`, run: replaceFunction},
		"int":         {least: 1, most: 1, gives: number, usage: "int(payload.n)", run: intFunction},
		"float":       {least: 1, most: 1, gives: number, usage: "float(payload.n)", run: floatFunction},
		"abs":         {least: 1, most: 1, usage: "abs(n)", run: absFunction},
		"min":         {least: 1, most: many, usage: "min(a, b)", run: extreme(-1)},
		"max":         {least: 1, most: many, usage: "max(a, b)", run: extreme(1)},
		"first":       {least: 1, most: 1, usage: "first(payload.commits)", run: func(_ *budget, a []any) (any, error) { return get(a[0], int64(0)), nil }},
		"last":        {least: 1, most: 1, usage: "last(payload.commits)", run: func(_ *budget, a []any) (any, error) { return get(a[0], int64(-1)), nil }},
		"keys":        {least: 1, most: 1, gives: list, usage: "keys(payload)", run: keysFunction},
		"values":      {least: 1, most: 1, gives: list, usage: "values(payload)", run: valuesFunction},
		"uniq":        {least: 1, most: 1, gives: list, usage: "uniq(changed_files)", run: uniqFunction},
		"get":         {least: 2, most: 2, usage: `get(payload, "name")`, run: getFunction},
		"toJSON":      {least: 1, most: 1, gives: text, usage: "toJSON(payload)", run: func(b *budget, a []any) (any, error) { return b.json(a[0]) }},
		"reverse":     {least: 1, most: 1, gives: list, usage: "reverse(payload.commits)", run: reverseFunction},
		"take":        {least: 2, most: 2, gives: list, usage: "take(payload.commits, 3)", run: takeFunction},
		"concat":      {least: 1, most: many, gives: list, usage: "concat(payload.added, payload.removed)", run: concatFunction},
		"flatten":     {least: 1, most: 1, gives: list, usage: "flatten(map(payload.commits, .added))", run: flattenFunction},
		"sort":        {least: 1, most: 1, gives: list, usage: "sort(changed_files)", run: sortFunction},
		"mean":        {least: 1, most: 1, usage: "mean(payload.values)", run: meanFunction},
		"median":      {least: 1, most: 1, usage: "median(payload.values)", run: medianFunction},
		"toPairs":     {least: 1, most: 1, gives: list, usage: "toPairs(payload.labels)", run: toPairsFunction},
		"fromPairs":   {least: 1, most: 1, gives: mapping, usage: `fromPairs([["a", 1]])`, run: fromPairsFunction},
		"round":       {least: 1, most: 1, gives: number, usage: "round(payload.amount)", run: rounding(math.Round)},
		"ceil":        {least: 1, most: 1, gives: number, usage: "ceil(payload.amount)", run: rounding(math.Ceil)},
		"floor":       {least: 1, most: 1, gives: number, usage: "floor(payload.amount)", run: rounding(math.Floor)},
		"type":        {least: 1, most: 1, gives: text, usage: "type(payload.n)", run: func(_ *budget, a []any) (any, error) { return typeName(a[0]), nil }},
	}
}

// at is a preparation for one argument.
func at(i int, prepare func(string) (any, error)) map[int]func(string) (any, error) {
	return map[int]func(string) (any, error){i: prepare}
}

func headerFunction(b *budget, a []any) (any, error) {
	name, ok := a[0].(string)
	if !ok {
		return nil, fmt.Errorf("wants a name, not %s", sayKind(a[0]))
	}
	return headerMap(b.in.request().Header).get(name), nil
}

// typeName is what a value is in the words of the expression library's type().
func typeName(v any) string {
	switch k := kindOf(v); k {
	case condition:
		return "bool"
	case text:
		return "string"
	case list:
		return "array"
	case mapping:
		return "map"
	default:
		return string(k)
	}
}

func lenFunction(b *budget, a []any) (any, error) {
	switch v := a[0].(type) {
	case nil:
		return int64(0), nil
	case string:
		return int64(utf8.RuneCountInString(v)), b.spend(len(v))
	case []any:
		return int64(len(v)), nil
	case []int:
		return int64(len(v)), nil
	case map[string]any:
		return int64(len(v)), nil
	case headerMap:
		return int64(len(v)), nil
	}
	return nil, fmt.Errorf("wants text, a list or a mapping, not %s", sayKind(a[0]))
}

// intFunction is a number or text as a whole number; a fraction is cut off.
func intFunction(_ *budget, a []any) (any, error) {
	if s, ok := a[0].(string); ok {
		n, err := strconv.ParseInt(strings.TrimSpace(s), 10, 64)
		if err != nil {
			return nil, errors.New("the text is not a whole number")
		}
		return n, nil
	}
	n, ok := numeralOf(a[0])
	if !ok {
		return nil, fmt.Errorf("wants a number or text, not %s", sayKind(a[0]))
	}
	i, ok := whole(math.Trunc(n.f))
	switch {
	case n.whole:
		return n.i, nil
	case n.big != "" || !ok:
		return nil, errors.New("the number does not fit into 64 bits")
	}
	return i, nil
}

func floatFunction(_ *budget, a []any) (any, error) {
	if s, ok := a[0].(string); ok {
		f, err := strconv.ParseFloat(strings.TrimSpace(s), 64)
		if err != nil || math.IsInf(f, 0) || math.IsNaN(f) {
			return nil, errors.New("the text is not a number")
		}
		return f, nil
	}
	n, ok := numeralOf(a[0])
	if !ok {
		return nil, fmt.Errorf("wants a number or text, not %s", sayKind(a[0]))
	}
	return n.float(), nil
}

func absFunction(_ *budget, a []any) (any, error) {
	if c, ok := compareNumbers(a[0], int64(0)); ok && c >= 0 {
		return a[0], nil
	}
	return negate(a)
}

// extreme is the least (-1) or greatest (1) of numbers, given one by one or as a list.
func extreme(sign int) func(*budget, []any) (any, error) {
	return func(b *budget, a []any) (any, error) {
		if len(a) == 1 && kindOf(a[0]) != number {
			var err error
			if a, err = asList(b, a[0]); err != nil {
				return nil, err
			}
		}
		var best any
		for i, v := range a {
			if err := b.step(1); err != nil {
				return nil, err
			}
			if i == 0 {
				best = v
			}
			c, ok := compareNumbers(v, best)
			if !ok {
				if c, ok = compareTimes(v, best); !ok {
					return nil, fmt.Errorf("wants numbers, not %s and %s", sayKind(v), sayKind(best))
				}
			}
			if c*sign > 0 {
				best = v
			}
		}
		return best, nil
	}
}

func keysFunction(b *budget, a []any) (any, error) {
	_, keys, err := b.sorted(a[0])
	if err != nil {
		return nil, err
	}
	return anys(keys), b.build(32 * len(keys))
}

func valuesFunction(b *budget, a []any) (any, error) {
	m, keys, err := b.sorted(a[0])
	if err != nil {
		return nil, err
	}
	out := make([]any, len(keys))
	for i, key := range keys {
		out[i] = m[key]
	}
	return out, b.build(16 * len(keys))
}

// sorted is a value as a mapping, with its names in order.
func (b *budget) sorted(v any) (map[string]any, []string, error) {
	m, ok, err := asMapping(b, v)
	if err != nil {
		return nil, nil, err
	}
	if !ok {
		return nil, nil, fmt.Errorf("wants a mapping, not %s", sayKind(v))
	}
	keys, err := b.sortedKeys(m)
	return m, keys, err
}

// sortedKeys are a mapping's names in order.
func (b *budget) sortedKeys(m map[string]any) ([]string, error) {
	if err := b.build(16 * len(m)); err != nil {
		return nil, err
	}
	if err := b.spend(500 * len(m)); err != nil {
		return nil, err
	}
	keys := make([]string, 0, len(m))
	for key := range m {
		keys = append(keys, key)
	}
	slices.Sort(keys)
	return keys, nil
}

// uniqFunction keeps the first of each value.
func uniqFunction(b *budget, a []any) (any, error) {
	items, err := asList(b, a[0])
	if err != nil {
		return nil, err
	}
	seen := map[string]bool{}
	out := []any{}
	for _, item := range items {
		if err := b.step(1); err != nil {
			return nil, err
		}
		key, err := b.json(item)
		if err != nil {
			return nil, err
		}
		if err := b.build(100); err != nil { // the table
			return nil, err
		}
		if !seen[key] {
			seen[key] = true
			out = append(out, item)
		}
	}
	return out, nil
}

// atFunction looks a dotted path up as adnanh/webhook does: in a mapping the whole rest of the
// path is a name first, and then the part before the first dot; in a list that part is an index
// from 0. A list that is the whole payload is found under root.
func atFunction(b *budget, a []any) (any, error) {
	path, ok := a[1].(string)
	if !ok {
		return nil, fmt.Errorf("wants a path, not %s", sayKind(a[1]))
	}
	v := a[0]
	if all, ok := v.([]any); ok && (path == "root" || strings.HasPrefix(path, "root.")) {
		v = map[string]any{"root": all}
	}
	for {
		if err := b.spend(nodeCost + len(path)); err != nil {
			return nil, err
		}
		head, rest, more := strings.Cut(path, ".")
		switch within := v.(type) {
		case map[string]any:
			if found, ok := within[path]; ok {
				return found, nil
			}
			v = within[head]
		case []any:
			i, err := strconv.ParseUint(head, 10, 31)
			if err != nil || int(i) >= len(within) {
				return nil, nil
			}
			v = within[i]
		default:
			return nil, nil
		}
		if !more {
			return v, nil
		}
		path = rest
	}
}

// textOf is the text adnanh/webhook makes of a value: JSON in which <, > and & are escaped for
// lists and mappings, and otherwise as format. Nil stays nil, which is no text: a variable that
// would hold it is left out, and no pattern matches it. (There null, unlike what is missing, is
// the text "<nil>".)
func textOf(b *budget, a []any) (any, error) {
	switch kindOf(a[0]) {
	case null:
		return nil, nil
	case list, mapping:
		return b.encode(a[0], true)
	}
	return b.format(a[0])
}

// decodedSize is how much memory a byte of JSON may become.
const decodedSize = 48

// fromJSON reads text as JSON. What is none is an error, or the second argument, if there is one.
func fromJSON(b *budget, a []any) (any, error) {
	s, ok := a[0].(string)
	if !ok {
		if a[0] == nil {
			return nil, nil
		}
		if len(a) == 2 {
			return a[1], nil
		}
		return nil, fmt.Errorf("wants text, not %s", sayKind(a[0]))
	}
	if err := b.build(decodedSize * len(s)); err != nil {
		return nil, err
	}
	v, err := request.Decode(request.FormatJSON, "", []byte(s))
	var undecodable *request.DecodeError
	if errors.As(err, &undecodable) && len(a) == 2 {
		return a[1], nil
	}
	if errors.As(err, &undecodable) { // of this text, not of the body
		return nil, fmt.Errorf("the text is not JSON: %s", undecodable.Err)
	}
	return v, err
}
