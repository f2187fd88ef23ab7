package cli

import (
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/tenterhook/tenterhook/internal/admin"
	"github.com/tenterhook/tenterhook/internal/store"
)

// everything is how many deliveries a search is for that ends with the last.
const everything = -1

// search prints deliveries as they are found.
func (c *deliveriesListCmd) search(e *env, f store.Filter, query admin.Search) error {
	want := f.Limit
	if c.All {
		want = everything
	}
	out := &deliveryStream{e: e, json: c.JSON, table: deliveriesTable()}
	err := e.reading(func(from source) error {
		next, err := e.eachFound(from, f, query, want, out.print)
		if out.found > 0 && admin.Dead(err) {
			return errors.New(err.Error()) // what was printed must not be printed again from the store
		}
		if err == nil {
			e.sayMore(next)
		}
		return err
	})
	if err != nil {
		return e.badMatch(err)
	}
	return out.end()
}

// eachFound searches until want deliveries are found or there are no more, and hands on each page of
// them. next is where to go on, "" at the end.
func (e *env) eachFound(from source, f store.Filter, query admin.Search, want int, yield func([]admin.Delivery) error) (next string, err error) {
	progress := e.newBar(0)
	defer progress.clear()
	scanned, found, failed, failure := 0, 0, 0, ""
	for {
		f.Limit = admin.MaxLimit
		if want != everything {
			f.Limit = min(want-found, admin.MaxLimit)
		}
		page, err := from.Search(e.ctx, f, query)
		if err != nil {
			return "", err
		}
		scanned, found, failed = scanned+page.Scanned, found+len(page.Deliveries), failed+page.Failed
		if failure == "" {
			failure = page.Failure
		}
		if progress.all == 0 {
			progress.all = page.Total
		}
		progress.clear()
		if err := yield(page.Deliveries); err != nil {
			return "", err
		}
		progress.at(scanned, fmt.Sprintf("%d found", found))
		if f.Cursor = page.Next; page.Next == "" || found == want {
			break
		}
	}
	progress.clear()
	if failed > 0 {
		e.say("the condition could not be evaluated for %s not shown; for the first: %s", count(failed, "delivery", "deliveries"), printable(failure))
	}
	return f.Cursor, nil
}

// deliveryStream prints deliveries that come piece by piece.
type deliveryStream struct {
	e     *env
	json  bool
	table table
	found int
}

func (s *deliveryStream) print(list []admin.Delivery) error {
	for i := range list {
		if s.found++; !s.json {
			continue
		}
		text, err := json.Marshal(list[i], json.Deterministic(true), jsontext.WithIndentPrefix("  "), jsontext.WithIndent("  "))
		if err != nil {
			return fmt.Errorf("encode: %w", err)
		}
		before := ",\n  "
		if s.found == 1 {
			before = "[\n  "
		}
		if _, err := fmt.Fprint(s.e.stdout, before, printableJSON(string(text))); err != nil {
			return err
		}
	}
	if !s.json {
		s.e.deliveryRows(&s.table, list)
		s.table.more(s.e.stdout, s.e.out)
	}
	return nil
}

// end ends the document, or says that nothing was found.
func (s *deliveryStream) end() error {
	switch {
	case s.json && s.found == 0:
		fmt.Fprintln(s.e.stdout, "[]")
	case s.json:
		fmt.Fprintln(s.e.stdout, "\n]")
	case s.found == 0:
		s.e.say("no deliveries found")
	}
	return nil
}

// badMatch shows what is wrong with a condition, under itself. Any other error stays what it is.
func (e *env) badMatch(err error) error {
	var bad *admin.MatchError
	if !errors.As(err, &bad) {
		return err
	}
	e.say("%s --match: %s", e.err.paint(red, "error:"), printable(bad.Message))
	begin := bad.Source[:min(bad.Offset, len(bad.Source))]
	from := strings.LastIndexByte(begin, '\n') + 1
	line, _, _ := strings.Cut(bad.Source[from:], "\n")
	under := max(1, min(utf8.RuneCountInString(bad.Source[len(begin):min(len(begin)+bad.Width, len(bad.Source))]), utf8.RuneCountInString(line)))
	fmt.Fprintf(e.stderr, "  | %s\n  | %s%s\n", printable(line), strings.Repeat(" ", utf8.RuneCountInString(begin[from:])),
		e.err.paint(red, "^"+strings.Repeat("~", under-1)))
	for _, hint := range bad.Hints {
		e.say("%s %s", e.err.paint(faint, "hint:"), printable(hint))
	}
	return said(exitUsage)
}
