package config

import (
	"bytes"
	"regexp"
	"slices"
	"strings"

	"go.yaml.in/yaml/v4"
)

// Format lays a configuration out as one does: two spaces for each level, lists set in below their
// key, one space behind a colon or dash, no spaces at the end of a line, no two empty lines in a
// row. Nothing else changes: order, quotes, comments and the text of blocks stay.
//
// What cannot be read is refused with its place, and so is what would read differently afterwards:
// the result means what src means, and has its comments.
func Format(name string, src []byte) ([]byte, *Diagnostics) {
	l := newLoader(Options{Path: name})
	root := l.parse(name, src, false)
	if root == nil || l.d.Err() != nil {
		return nil, l.d
	}
	if i := bytes.IndexAny(bytes.ReplaceAll(src, []byte("\r\n"), []byte("\n")), "\r\u0085\u2028\u2029"); i >= 0 {
		l.d.Errorf(Pos{File: name}, "the file has line ends that are neither those of Unix nor of Windows").Hint("write it anew with ordinary line ends")
		return nil, l.d
	}
	f := &formatter{lines: slices.Clone(l.d.sources[name].lines), inside: map[int]int{}}
	if last := len(f.lines) - 1; f.lines[last] == "" {
		f.lines = f.lines[:last]
	}
	if isBlock(root) {
		f.collect(root, 0)
	} else {
		f.span(&blockNode{}, root)
	}
	out := f.format()
	if !sameMeaning(root, out) || bare(src) != bare(out) {
		l.d.Errorf(Pos{File: name}, "the file is written in a way that cannot be laid out anew without changing what it means").
			Hint("it is left as it is; please report it, without its secrets")
		return nil, l.d
	}
	return out, l.d
}

// formatter sets the lines of a file in. Columns count characters from 0.
type formatter struct {
	lines []string
	// blocks are the mappings and lists that are not in braces, in the order of the file.
	blocks []*blockNode
	// inside are the lines that are part of a value that began above, and how far they move.
	inside map[int]int
	// values are the values that begin behind a colon: line and column.
	values []place
}

type place struct{ line, column int }

// blockNode is a mapping or list that is not in braces.
type blockNode struct {
	list     bool
	first    int // line
	was, now int // columns
	values   []*yaml.Node
}

// collect notes the blocks below y, whose entries come to stand at column now.
func (f *formatter) collect(y *yaml.Node, now int) *blockNode {
	b := &blockNode{list: y.Kind == yaml.SequenceNode, first: y.Line - 1, was: y.Column - 1, now: now}
	f.blocks = append(f.blocks, b)
	for i, child := range y.Content {
		if y.Kind == yaml.MappingNode && i%2 == 0 {
			continue
		}
		if y.Kind == yaml.MappingNode && child.Line == y.Content[i-1].Line && child.Line > 0 {
			f.values = append(f.values, place{child.Line - 1, child.Column - 1})
		}
		if isBlock(child) {
			f.collect(child, now+2)
			continue
		}
		b.values = append(b.values, child)
	}
	return b
}

func isBlock(y *yaml.Node) bool {
	return (y.Kind == yaml.MappingNode || y.Kind == yaml.SequenceNode) && y.Style&yaml.FlowStyle == 0 && len(y.Content) > 0
}

func (f *formatter) format() []byte {
	// The lines of values first: what they hold is no comment, key or dash.
	for _, b := range f.blocks {
		for _, value := range b.values {
			f.span(b, value)
		}
	}
	var out []string
	var open []*blockNode // that the line before was in, the outermost first
	next, shift := 0, 0
	var waiting []int // comments and empty lines, which the line after them decides about
	for i, line := range f.lines {
		text := strings.TrimSpace(line)
		if by, is := f.inside[i]; is {
			out, waiting = f.between(out, waiting, open, nil, 0, 0), nil
			out = append(out, moved(line, by))
			continue
		}
		if text == "" || strings.HasPrefix(text, "#") {
			waiting = append(waiting, i)
			continue
		}
		before := slices.Clone(open)
		for ; next < len(f.blocks) && f.blocks[next].first <= i; next++ {
			open = append(open, f.blocks[next])
		}
		column := indent(line)
		owner := ownerOf(open, column, isDash(line[column:]), i)
		if owner == nil { // text over several lines, or --- and the like
			out, waiting = f.between(out, waiting, before, nil, 0, 0), nil
			if isMarker(line) {
				shift = 0
			}
			out = append(out, strings.TrimRight(moved(line, shift), " \t"))
			continue
		}
		at := slices.Index(open, owner) + 1
		open = append(open[:at], slices.DeleteFunc(open[at:], func(b *blockNode) bool { return b.first != i })...)
		out, waiting = f.between(out, waiting, before, owner, column, owner.now), nil
		shift = owner.now - column
		out = append(out, f.entry(line, i, owner))
	}
	out = f.between(out, waiting, open, &blockNode{}, 0, 0)
	if n := len(waiting); n > 0 && out[len(out)-1] == "" {
		out = out[:len(out)-1]
	}
	return []byte(strings.Join(out, "\n") + "\n")
}

// ownerOf is the innermost open block whose entries stand at a column.
func ownerOf(open []*blockNode, column int, dash bool, line int) *blockNode {
	for _, b := range slices.Backward(open) {
		if b.was == column && b.list == dash && b.first <= line {
			return b
		}
	}
	return nil
}

// entry is a line that begins with a key or a dash.
func (f *formatter) entry(line string, i int, owner *blockNode) string {
	rest, at := line[owner.was:], owner.was
	var b strings.Builder
	b.WriteString(strings.Repeat(" ", owner.now))
	for isDash(rest) {
		behind := strings.TrimLeft(rest[1:], " ")
		b.WriteByte('-')
		if behind != "" {
			b.WriteByte(' ')
		}
		at += len(rest) - len(behind)
		rest = behind
		if !f.listAt(i, at) {
			break
		}
	}
	// One space between a colon and its value.
	for _, v := range f.values {
		if v.line != i {
			continue
		}
		column := byteOf(line, v.column)
		if column <= at || column > len(line) {
			continue
		}
		key := strings.TrimRight(line[at:column], " ")
		if strings.HasSuffix(key, ":") {
			rest = key + " " + line[column:]
		}
		break
	}
	b.WriteString(rest)
	return strings.TrimRight(b.String(), " \t")
}

// listAt reports whether a list begins at a place.
func (f *formatter) listAt(line, column int) bool {
	return slices.ContainsFunc(f.blocks, func(b *blockNode) bool { return b.list && b.first == line && b.was == column })
}

// between writes the comments and empty lines before a line that moves from column was to now, or
// at the end of the file. A comment moves with what stands at its column.
func (f *formatter) between(out []string, waiting []int, before []*blockNode, owner *blockNode, was, now int) []string {
	for _, i := range waiting {
		line := strings.TrimRight(f.lines[i], " \t\r")
		if line == "" {
			if len(out) > 0 && out[len(out)-1] != "" {
				out = append(out, "")
			}
			continue
		}
		column := indent(line)
		from, to := 0, 0
		for _, b := range before {
			if b.was <= column && b.was >= from {
				from, to = b.was, b.now
			}
		}
		if owner != nil && was <= column && was >= from {
			from, to = was, now
		}
		out = append(out, strings.Repeat(" ", to+column-from)+strings.TrimLeft(line, " \t"))
	}
	return out
}

// span notes the further lines of a value, and how far they move.
func (f *formatter) span(b *blockNode, y *yaml.Node) {
	if y.Line < 1 || y.Line > len(f.lines) {
		return
	}
	first := y.Line - 1
	start := byteOf(f.lines[first], y.Column-1)
	by := b.now - b.was
	switch {
	case y.Style&(yaml.LiteralStyle|yaml.FoldedStyle) != 0:
		f.spanBlock(b, first, start)
	case y.Kind != yaml.ScalarNode, y.Style&(yaml.SingleQuotedStyle|yaml.DoubleQuotedStyle) != 0:
		if end := f.closing(first, start); end > first {
			f.shift(b, first+1, end, by+f.gap(first, start))
		}
	case y.Value != "":
		f.spanPlain(b, first)
	}
}

// spanPlain notes the further lines of a text without quotes: those set in further than what it is
// a part of, up to a comment.
func (f *formatter) spanPlain(b *blockNode, first int) {
	end := first
	for i := first + 1; i < len(f.lines); i++ {
		text := strings.TrimSpace(f.lines[i])
		if text == "" {
			continue
		}
		if indent(f.lines[i]) <= b.was || strings.HasPrefix(text, "#") {
			break
		}
		end = i
	}
	f.shift(b, first+1, end, b.now-b.was)
}

// shift moves the further lines of a value, but none so far that it would leave the value's block.
func (f *formatter) shift(b *blockNode, from, end, by int) {
	for i := from; i <= end; i++ {
		if n := indent(f.lines[i]); strings.TrimSpace(f.lines[i]) != "" && n > b.was {
			by = max(by, b.now+1-n)
		}
	}
	for i := from; i <= end; i++ {
		f.inside[i] = by
	}
}

// gap is how far a value moves within its line: back to one space behind its colon or dash.
func (f *formatter) gap(line, start int) int {
	before := strings.TrimRight(f.lines[line][:start], " ")
	if strings.HasSuffix(before, ":") || strings.HasSuffix(before, "-") {
		return len(before) + 1 - start
	}
	return 0
}

var blockHeader = regexp.MustCompile(`^[|>]([-+]?)([1-9]?)([-+]?)`)

// spanBlock notes the lines of a | or > text: those that are set in as far as its first one.
func (f *formatter) spanBlock(b *blockNode, header, start int) {
	explicit := blockHeader.FindStringSubmatch(f.lines[header][start:])
	first := header + 1
	for first < len(f.lines) && strings.TrimSpace(f.lines[first]) == "" {
		first++
	}
	if first == len(f.lines) {
		return
	}
	was := indent(f.lines[first])
	by := b.now + 2 - was
	if explicit != nil && explicit[2] != "" {
		was, by = b.was+int(explicit[2][0]-'0'), b.now-b.was
	}
	if was <= b.was {
		return // it is empty
	}
	end := header
	for i := header + 1; i < len(f.lines); i++ {
		blank := strings.TrimSpace(f.lines[i]) == ""
		if !blank && indent(f.lines[i]) < was {
			break
		}
		if !blank || indent(f.lines[i]) > was {
			end = i
		}
	}
	keep := explicit != nil && (explicit[1] == "+" || explicit[3] == "+")
	for i := header + 1; i <= end || keep && i < len(f.lines) && strings.TrimSpace(f.lines[i]) == ""; i++ {
		f.inside[i] = by
		if strings.TrimSpace(f.lines[i]) == "" && indent(f.lines[i]) <= was {
			f.inside[i] = emptied
		}
	}
}

// closing is the line in which a quoted text or something in braces ends.
func (f *formatter) closing(line, start int) int {
	depth, quote := 0, byte(0)
	for i := line; i < len(f.lines); i++ {
		text := f.lines[i]
		from := 0
		if i == line {
			from = start
		}
		for at := from; at < len(text); at++ {
			c := text[at]
			switch {
			case quote == '"' && c == '\\':
				at++
			case quote == '\'' && c == '\'' && at+1 < len(text) && text[at+1] == '\'':
				at++
			case quote != 0:
				if c == quote {
					if quote = 0; depth == 0 {
						return i
					}
				}
			case c == '#' && (at == 0 || text[at-1] == ' ' || text[at-1] == '\t'):
				at = len(text)
			case c == '{' || c == '[':
				depth++
			case c == '}' || c == ']':
				if depth--; depth == 0 {
					return i
				}
			case (c == '"' || c == '\'') && beginsText(text[:at]):
				quote = c
			}
		}
	}
	return len(f.lines) - 1
}

// beginsText reports whether a quote behind s opens a text, and is not in the middle of one.
func beginsText(s string) bool {
	s = strings.TrimRight(s, " \t")
	return s == "" || strings.ContainsRune(":,[{-?", rune(s[len(s)-1]))
}

// emptied moves a line so far that nothing is left of one without text.
const emptied = -1 << 20

// moved is a line set in by so many columns more, or less.
func moved(line string, by int) string {
	if strings.TrimSpace(line) == "" && indent(line)+by <= 0 {
		return ""
	}
	n := indent(line)
	return strings.Repeat(" ", max(0, n+by)) + line[n:]
}

func indent(line string) int { return len(line) - len(strings.TrimLeft(line, " ")) }

// isDash reports whether a line goes on with the dash of a list.
func isDash(s string) bool { return s == "-" || strings.HasPrefix(s, "- ") }

func isMarker(line string) bool {
	return strings.HasPrefix(line, "---") || strings.HasPrefix(line, "...") || strings.HasPrefix(line, "%")
}

// byteOf is where a column of characters begins in bytes.
func byteOf(line string, column int) int {
	for i := range line {
		if column == 0 {
			return i
		}
		column--
	}
	return len(line)
}

// sameMeaning reports whether text is read as the tree y.
func sameMeaning(y *yaml.Node, text []byte) bool {
	read, err := documents(text)
	return err == nil && len(read) == 1 && len(read[0].Content) == 1 && sameTree(y, read[0].Content[0])
}

func sameTree(a, b *yaml.Node) bool {
	return a.Kind == b.Kind && a.Value == b.Value && a.Style == b.Style && a.ShortTag() == b.ShortTag() &&
		slices.EqualFunc(a.Content, b.Content, sameTree)
}

// bare is a text without spaces and line ends: what Format must not change, comments included.
func bare(text []byte) string {
	return strings.Join(strings.Fields(string(bytes.TrimPrefix(text, []byte("\ufeff")))), "")
}
