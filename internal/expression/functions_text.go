package expression

import (
	"encoding/base64"
	"errors"
	"fmt"
	"strings"
)

// wantTexts are arguments as texts; nil is the empty one. Looking at them is paid for.
func wantTexts(b *budget, args ...any) ([]string, error) {
	out := make([]string, len(args))
	for i, a := range args {
		s, ok := a.(string)
		if !ok && a != nil {
			return nil, fmt.Errorf("wants text, not %s", sayKind(a))
		}
		if err := b.spend(len(s)); err != nil {
			return nil, err
		}
		out[i] = s
	}
	return out, nil
}

// textFunction changes a text into one that is hardly longer.
func textFunction(f func(string) string) func(*budget, []any) (any, error) {
	return func(b *budget, a []any) (any, error) {
		s, err := wantTexts(b, a[0])
		if err != nil {
			return nil, err
		}
		if err := b.build(2 * len(s[0])); err != nil {
			return nil, err
		}
		return f(s[0]), nil
	}
}

// cutFunction takes a part of a text, which costs no memory.
func cutFunction(f func(s, part string) string) func(*budget, []any) (any, error) {
	return func(b *budget, a []any) (any, error) {
		s, err := wantTexts(b, a...)
		if err != nil {
			return nil, err
		}
		return f(s[0], s[1]), nil
	}
}

// maxCutset bounds the characters that trim looks for at each end.
const maxCutset = 64

func trimFunction(b *budget, a []any) (any, error) {
	s, err := wantTexts(b, a...)
	switch {
	case err != nil:
		return nil, err
	case len(s) == 1:
		return strings.TrimSpace(s[0]), nil
	case len(s[1]) > maxCutset:
		return nil, fmt.Errorf("trims at most %d bytes of characters", maxCutset)
	}
	if err := b.spend(len(s[0]) * (1 + len(s[1])/8)); err != nil {
		return nil, err
	}
	return strings.Trim(s[0], s[1]), nil
}

func indexFunction(b *budget, a []any) (any, error) { return foundAt(b, a, strings.Index) }

func lastIndexFunction(b *budget, a []any) (any, error) { return foundAt(b, a, strings.LastIndex) }

func foundAt(b *budget, a []any, find func(s, part string) int) (any, error) {
	s, err := wantTexts(b, a...)
	if err != nil {
		return nil, err
	}
	i := find(s[0], s[1])
	if i > 0 {
		i = len([]rune(s[0][:i])) // in characters, as len counts
	}
	return int64(i), b.build(4 * max(0, i))
}

// maxPieces bounds the list that split makes.
const maxPieces = 10_000

// splitFunction cuts a text at a separator, into at most so many pieces if a number is given.
func splitFunction(b *budget, a []any) (any, error) {
	if a[0] == nil {
		return []any{}, nil
	}
	s, err := wantTexts(b, a[0], a[1])
	if err != nil {
		return nil, err
	}
	pieces := int64(strings.Count(s[0], s[1]) + 1)
	if len(a) == 3 {
		n, ok := whole(a[2])
		if !ok || n < 1 {
			return nil, errors.New("wants a number of pieces of at least 1")
		}
		pieces = min(pieces, n)
	}
	if pieces > maxPieces {
		return nil, fmt.Errorf("there are more than %d pieces", maxPieces)
	}
	if err := b.build(48 * int(pieces)); err != nil {
		return nil, err
	}
	return anys(strings.SplitN(s[0], s[1], int(pieces))), nil
}

func joinFunction(b *budget, a []any) (any, error) {
	items, err := asList(b, a[0])
	if err != nil {
		return nil, err
	}
	separator, err := wantTexts(b, a[1:]...)
	if err != nil {
		return nil, err
	}
	return b.write(false, func(e *encoder) error {
		for i, item := range items {
			if i > 0 && len(separator) > 0 {
				if err := e.text(separator[0]); err != nil {
					return err
				}
			}
			if err := b.step(1); err != nil {
				return err
			}
			if err := e.plain(item); err != nil {
				return err
			}
		}
		return nil
	})
}

func replaceFunction(b *budget, a []any) (any, error) {
	s, err := wantTexts(b, a...)
	if err != nil {
		return nil, err
	}
	n := strings.Count(s[0], s[1])
	if len(s[2]) > 0 && n > maxBytes/len(s[2]) {
		return nil, b.build(maxBytes + 1)
	}
	if err := b.build(len(s[0]) + n*len(s[2])); err != nil {
		return nil, err
	}
	return strings.ReplaceAll(s[0], s[1], s[2]), nil
}

// fromBase64 reads either alphabet, padded or not. The result is text of any bytes; nil stays nil.
func fromBase64(b *budget, a []any) (any, error) {
	if a[0] == nil {
		return nil, nil
	}
	s, err := wantTexts(b, a[0])
	if err != nil {
		return nil, err
	}
	if err := b.build(2 * len(s[0])); err != nil {
		return nil, err
	}
	encoding := base64.RawStdEncoding
	if strings.ContainsAny(s[0], "-_") {
		encoding = base64.RawURLEncoding
	}
	out, err := encoding.DecodeString(strings.TrimRight(s[0], "=\r\n"))
	if err != nil {
		return nil, errors.New("the text is not base64")
	}
	return string(out), nil
}

func toBase64(b *budget, a []any) (any, error) {
	s, err := wantTexts(b, a[0])
	if err != nil {
		return nil, err
	}
	if err := b.build(4 * len(s[0])); err != nil {
		return nil, err
	}
	return base64.StdEncoding.EncodeToString([]byte(s[0])), nil
}
