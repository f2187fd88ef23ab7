package expression

import (
	"encoding/base64"
	"errors"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/expr-lang/expr/vm/runtime"
)

// function is one that people can call. run gets the arguments without the budget.
type function struct {
	least, most int    // arguments
	gives       string // what, when it is never a condition
	usage       string
	run         func(b *budget, a []any) (any, error)
}

func (f function) takes() string {
	switch {
	case f.least == f.most && f.most == 1:
		return "one argument"
	case f.least == f.most:
		return fmt.Sprintf("%d arguments", f.most)
	}
	return fmt.Sprintf("%d to %d arguments", f.least, f.most)
}

// many is the most arguments a function that takes any number may get.
const many = 32

var functions map[string]function

func init() { // json and at are written in terms of the table's helpers
	functions = map[string]function{
		"header":     {1, 1, "text", `header("X-Name")`, func(b *budget, a []any) (any, error) { return get(headerMap(b.in.Request.Header), a[0]), nil }},
		"glob":       {2, 2, "", `glob("docs/**", path)`, globFunction},
		"cidr":       {2, 2, "", `cidr("10.0.0.0/8", ip)`, cidrFunction},
		"semver":     {3, 3, "", `semver(tag, ">=", "1.2.0")`, semverFunction},
		"age":        {1, 1, "duration", `age(payload.created_at) < duration("5m")`, ageFunction},
		"in_window":  {1, 2, "", `in_window("Mon-Fri 09:00-17:00", "Europe/Berlin")`, windowFunction},
		"short":      {1, 1, "text", "short(sha)", textFunction(func(s string) string { return s[:min(len(s), 7)] })},
		"json":       {1, 1, "text", "json(payload)", func(b *budget, a []any) (any, error) { return encode(b, a[0]) }},
		"text":       {1, 1, "text", "text(payload.n)", func(b *budget, a []any) (any, error) { return format(b, a[0]) }},
		"string":     {1, 1, "text", "string(payload.n)", func(b *budget, a []any) (any, error) { return format(b, a[0]) }},
		"at":         {2, 2, "", `at(payload, "a.0.b")`, atFunction},
		"fromBase64": {1, 1, "text", "fromBase64(payload.data)", fromBase64},
		"toBase64":   {1, 1, "text", "toBase64(body)", toBase64},
		"len":        {1, 1, "number", "len(payload.commits)", lenFunction},
		"lower":      {1, 1, "text", "lower(branch)", textFunction(strings.ToLower)},
		"upper":      {1, 1, "text", "upper(branch)", textFunction(strings.ToUpper)},
		"trim":       {1, 2, "text", "trim(s)", trimFunction(strings.Trim, strings.TrimSpace)},
		"trimPrefix": {2, 2, "text", `trimPrefix(tag, "v")`, trimFunction(strings.TrimPrefix, nil)},
		"trimSuffix": {2, 2, "text", `trimSuffix(name, ".git")`, trimFunction(strings.TrimSuffix, nil)},
		"hasPrefix":  {2, 2, "", `hasPrefix(branch, "release/")`, testFunction("__startsWith")},
		"hasSuffix":  {2, 2, "", `hasSuffix(file, ".go")`, testFunction("__endsWith")},
		"indexOf":    {2, 2, "number", `indexOf(s, "x")`, indexFunction},
		"split":      {2, 3, "list", `split(branch, "/")`, splitFunction},
		"join":       {1, 2, "text", `join(changed_files, " ")`, joinFunction},
		"replace":    {3, 3, "text", `replace(branch, "/", "-")`, replaceFunction},
		"int":        {1, 1, "number", "int(payload.n)", intFunction},
		"float":      {1, 1, "number", "float(payload.n)", floatFunction},
		"abs":        {1, 1, "number", "abs(n)", absFunction},
		"min":        {1, many, "number", "min(a, b)", extreme(func(x, y any) bool { return less(x, y) })},
		"max":        {1, many, "number", "max(a, b)", extreme(func(x, y any) bool { return less(y, x) })},
		"first":      {1, 1, "", "first(payload.commits)", func(_ *budget, a []any) (any, error) { return get(a[0], 0), nil }},
		"last":       {1, 1, "", "last(payload.commits)", func(_ *budget, a []any) (any, error) { return get(a[0], -1), nil }},
		"keys":       {1, 1, "list", "keys(payload)", keysFunction},
		"values":     {1, 1, "list", "values(payload)", valuesFunction},
		"type":       {1, 1, "text", "type(payload.n)", func(_ *budget, a []any) (any, error) { return typeName(a[0]), nil }},
		"now":        {0, 0, "time", "now()", func(b *budget, _ []any) (any, error) { return b.in.now(), nil }},
		"date":       {1, 1, "time", `date("2026-01-02T15:04:05Z")`, func(_ *budget, a []any) (any, error) { return instant(a[0]) }},
		"duration":   {1, 1, "duration", `duration("5m")`, durationFunction},
		"uniq":       {1, 1, "list", "uniq(changed_files)", uniqFunction},
	}
}

// call makes a function of the table one of the library's.
func call(name string) func(args ...any) (any, error) {
	return func(args ...any) (any, error) {
		b, ok := args[0].(*budget)
		if !ok {
			return nil, fmt.Errorf("%s was called without its budget", name)
		}
		if err := b.tick(); err != nil {
			return nil, err
		}
		v, err := functions[name].run(b, args[1:])
		if err != nil && b.exceeded == nil {
			err = fmt.Errorf("%s: %w", name, err)
		}
		return v, err
	}
}

// wantText is an argument as text; nil is the empty one.
func wantText(v any) (string, error) {
	if v == nil {
		return "", nil
	}
	s, ok := asText(v)
	if !ok {
		return "", fmt.Errorf("wants text, not %s", kindOf(v))
	}
	return s, nil
}

func texts(b *budget, args ...any) ([]string, error) {
	out := make([]string, len(args))
	for i, a := range args {
		s, err := wantText(a)
		if err != nil {
			return nil, err
		}
		if err := b.look(len(s)/2 + 1); err != nil {
			return nil, err
		}
		out[i] = s
	}
	return out, nil
}

func textFunction(f func(string) string) func(*budget, []any) (any, error) {
	return func(b *budget, a []any) (any, error) {
		s, err := texts(b, a[0])
		if err != nil {
			return nil, err
		}
		out := f(s[0])
		return out, b.build(len(out))
	}
}

func trimFunction(f func(s, cut string) string, plain func(string) string) func(*budget, []any) (any, error) {
	return func(b *budget, a []any) (any, error) {
		s, err := texts(b, a...)
		if err != nil {
			return nil, err
		}
		if len(s) == 1 {
			return plain(s[0]), nil
		}
		return f(s[0], s[1]), nil
	}
}

func testFunction(operator string) func(*budget, []any) (any, error) {
	return func(b *budget, a []any) (any, error) { return internals[operator].run(b, a[0], a[1]) }
}

func indexFunction(b *budget, a []any) (any, error) {
	s, err := texts(b, a...)
	if err != nil {
		return nil, err
	}
	return strings.Index(s[0], s[1]), nil
}

// maxPieces bounds the list that split makes.
const maxPieces = 10_000

func splitFunction(b *budget, a []any) (any, error) {
	if a[0] == nil {
		return []any{}, nil
	}
	s, err := texts(b, a[0], a[1])
	if err != nil {
		return nil, err
	}
	most := maxPieces
	if len(a) == 3 {
		n, ok := asInt(a[2])
		if !ok {
			return nil, fmt.Errorf("wants a number of pieces, not %s", kindOf(a[2]))
		}
		if n > 0 {
			most = min(n, most)
		}
	}
	pieces := strings.SplitN(s[0], s[1], most)
	if err := b.build(16 * len(pieces)); err != nil {
		return nil, err
	}
	return list(pieces)
}

func joinFunction(b *budget, a []any) (any, error) {
	items, err := list(a[0])
	if err != nil {
		return nil, err
	}
	separator := ""
	if len(a) == 2 {
		if separator, err = wantText(a[1]); err != nil {
			return nil, err
		}
	}
	var out strings.Builder
	for i, item := range items.([]any) {
		s, err := format(b, item)
		if err != nil {
			return nil, err
		}
		if i > 0 {
			out.WriteString(separator)
		}
		out.WriteString(s.(string))
		if err := b.build(len(separator) + 1); err != nil {
			return nil, err
		}
	}
	return out.String(), nil
}

func replaceFunction(b *budget, a []any) (any, error) {
	s, err := texts(b, a...)
	if err != nil {
		return nil, err
	}
	n := strings.Count(s[0], s[1])
	if err := b.build(len(s[0]) + n*len(s[2])); err != nil {
		return nil, err
	}
	return strings.ReplaceAll(s[0], s[1], s[2]), nil
}

func fromBase64(b *budget, a []any) (any, error) {
	s, err := texts(b, a[0])
	if err != nil {
		return nil, err
	}
	if err := b.build(len(s[0])); err != nil {
		return nil, err
	}
	for _, encoding := range []*base64.Encoding{base64.StdEncoding, base64.URLEncoding, base64.RawStdEncoding, base64.RawURLEncoding} {
		if out, err := encoding.DecodeString(s[0]); err == nil {
			return string(out), nil
		}
	}
	return nil, errors.New("the text is not base64")
}

func toBase64(b *budget, a []any) (any, error) {
	s, err := texts(b, a[0])
	if err != nil {
		return nil, err
	}
	return base64.StdEncoding.EncodeToString([]byte(s[0])), b.build(2 * len(s[0]))
}

func lenFunction(_ *budget, a []any) (any, error) {
	switch v := a[0].(type) {
	case nil:
		return 0, nil
	case string:
		return utf8.RuneCountInString(v), nil
	case []any:
		return len(v), nil
	case []string:
		return len(v), nil
	case map[string]any:
		return len(v), nil
	case headerMap:
		return len(v), nil
	}
	return nil, fmt.Errorf("wants text, a list or a mapping, not %s", kindOf(a[0]))
}

func intFunction(_ *budget, a []any) (any, error) {
	switch v := a[0].(type) {
	case string:
		n, err := strconv.ParseInt(strings.TrimSpace(v), 10, 64)
		if err != nil {
			return nil, fmt.Errorf("%s is not a whole number", describe(v))
		}
		return n, nil
	case float64:
		if math.IsNaN(v) || v < math.MinInt64 || v >= math.MaxInt64 {
			return nil, fmt.Errorf("%s is not a whole number", describe(v))
		}
		return int64(v), nil
	}
	if n, ok := asInt64(a[0]); ok {
		return n, nil
	}
	return nil, fmt.Errorf("wants a number or text, not %s", kindOf(a[0]))
}

func floatFunction(_ *budget, a []any) (any, error) {
	if s, ok := asText(a[0]); ok {
		f, err := strconv.ParseFloat(strings.TrimSpace(s), 64)
		if err != nil {
			return nil, fmt.Errorf("%s is not a number", describe(a[0]))
		}
		return f, nil
	}
	if f, ok := asFloat(a[0]); ok {
		return f, nil
	}
	return nil, fmt.Errorf("wants a number or text, not %s", kindOf(a[0]))
}

func absFunction(_ *budget, a []any) (any, error) {
	if n, ok := asInt64(a[0]); ok {
		if n < 0 {
			return -n, nil
		}
		return n, nil
	}
	if f, ok := asFloat(a[0]); ok {
		return math.Abs(f), nil
	}
	return nil, fmt.Errorf("wants a number, not %s", kindOf(a[0]))
}

func extreme(better func(x, y any) bool) func(*budget, []any) (any, error) {
	return func(b *budget, a []any) (any, error) {
		if items, ok := a[0].([]any); ok && len(a) == 1 {
			a = items
		}
		if len(a) == 0 {
			return nil, nil
		}
		if err := b.look(len(a)); err != nil {
			return nil, err
		}
		best := a[0]
		for _, v := range a {
			if _, ok := asFloat(v); !ok {
				return nil, fmt.Errorf("wants numbers, not %s", kindOf(v))
			}
			if better(v, best) {
				best = v
			}
		}
		return best, nil
	}
}

func less(x, y any) bool { return runtime.Less(x, y) }

func keysFunction(b *budget, a []any) (any, error) {
	if a[0] == nil {
		return []any{}, nil
	}
	m, ok := a[0].(map[string]any)
	if !ok {
		return nil, fmt.Errorf("wants a mapping, not %s", kindOf(a[0]))
	}
	names := sortedKeys(m)
	if err := b.look(16 * len(names)); err != nil {
		return nil, err
	}
	return list(names)
}

func valuesFunction(b *budget, a []any) (any, error) {
	names, err := keysFunction(b, a)
	if err != nil {
		return nil, err
	}
	out := []any{}
	for _, name := range names.([]any) {
		out = append(out, a[0].(map[string]any)[name.(string)])
	}
	return out, nil
}

func sortedKeys(m map[string]any) []string {
	names := make([]string, 0, len(m))
	for name := range m {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

func uniqFunction(b *budget, a []any) (any, error) {
	items, err := list(a[0])
	if err != nil {
		return nil, err
	}
	seen := map[string]bool{}
	out := []any{}
	for _, item := range items.([]any) {
		s, err := format(b, item)
		if err != nil {
			return nil, err
		}
		if !seen[s.(string)] {
			seen[s.(string)] = true
			out = append(out, item)
		}
	}
	return out, nil
}

func durationFunction(_ *budget, a []any) (any, error) {
	switch v := a[0].(type) {
	case time.Duration:
		return v, nil
	case string:
		if days, ok := strings.CutSuffix(v, "d"); ok {
			if n, err := strconv.ParseFloat(days, 64); err == nil && math.Abs(n) < 1e5 {
				return time.Duration(n * 24 * float64(time.Hour)), nil
			}
		}
		d, err := time.ParseDuration(v)
		if err != nil {
			return nil, fmt.Errorf("%s is not a duration such as 5m or 14d", describe(v))
		}
		return d, nil
	}
	return nil, fmt.Errorf("wants text such as \"5m\", not %s", kindOf(a[0]))
}

func (in *Input) now() time.Time {
	if in.Now.IsZero() {
		return in.ReceivedAt
	}
	return in.Now
}

// atFunction looks a dotted path up as adnanh/webhook does: at each step a key that is the whole
// rest of the path wins, then the part before the first dot is taken.
func atFunction(b *budget, a []any) (any, error) {
	path, err := wantText(a[1])
	if err != nil {
		return nil, err
	}
	v := a[0]
	for path != "" {
		if err := b.tick(); err != nil {
			return nil, err
		}
		if m, ok := v.(map[string]any); ok {
			if whole, ok := m[path]; ok {
				return whole, nil
			}
		}
		step, rest, _ := strings.Cut(path, ".")
		if _, isList := v.([]any); isList {
			i, err := strconv.Atoi(step)
			if err != nil || i < 0 {
				return nil, nil
			}
			v = get(v, i)
		} else {
			v = get(v, step)
		}
		path = rest
	}
	return v, nil
}
