// Command proof runs what shows that the program survives the faults of catalogue.txt, and writes
// what it saw to docs/reliability.md as it comes.
//
//	go run ./internal/proof                     the short form, as in CI
//	go run ./internal/proof -long               as often as published figures need, hours
//	go run ./internal/proof -long -budget 20m   the same, as far as it comes in 20 minutes
//	go run ./internal/proof -long -only kills   one part of it; -list names them
//	go run ./internal/proof -only B3            what belongs to one fault
//
// A test that fails, or does not even build, is written down and the rest goes on. What an earlier
// run saw of parts that this one does not come to is kept beside the document, in
// docs/reliability.json; the document says when and of which commit each part is.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"strings"
	"time"
)

func main() {
	var o options
	flag.BoolVar(&o.long, "long", false, "repeat as often as published figures need; takes hours without -budget")
	flag.DurationVar(&o.budget, "budget", 0, "end by itself within this time, with what was done by then; 0 is no bound")
	flag.StringVar(&o.only, "only", "", "only these parts (see -list), or faults whose id begins so; separated by commas")
	flag.StringVar(&o.out, "o", "docs/reliability.md", "document whose tables are written anew")
	list := flag.Bool("list", false, "name the parts and what they do, and run nothing")
	flag.Parse()
	if *list {
		printParts()
		return
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := prove(ctx, o); err != nil {
		fmt.Fprintln(os.Stderr, "proof:", err)
		os.Exit(1)
	}
}

type options struct {
	long   bool
	budget time.Duration
	only   string
	out    string
}

// prove runs the parts one after the other and writes the document after each.
func prove(ctx context.Context, o options) error {
	faults, err := parseCatalogue(catalogueText)
	if err != nil {
		return fmt.Errorf("read catalogue: %w", err)
	}
	chosen, err := choose(faults, o)
	if err != nil {
		return err
	}
	kept := strings.TrimSuffix(o.out, ".md") + ".json"
	seen, err := load(kept)
	if err != nil {
		return err
	}
	clock := newClock(o.budget, chosen)
	for _, p := range chosen {
		if ctx.Err() != nil {
			break
		}
		share, left := clock.share(p)
		if !left {
			fmt.Fprintf(os.Stderr, "%-12s not begun: the time is over\n", p.name)
			continue
		}
		now := p.run(ctx, named(faults), o.long, share)
		if !p.picked {
			seen.forget(p.name) // also what is no test any more
		}
		seen.merge(now)
		if err := errors.Join(seen.save(kept), report(o.out, faults, seen)); err != nil {
			return err
		}
	}
	seen.summary(os.Stderr, chosen)
	if n := seen.failures(chosen); n > 0 {
		return fmt.Errorf("%d failed", n)
	}
	return ctx.Err()
}

// named are the tests of the catalogue, by package and name.
func named(faults []fault) map[string]bool {
	all := map[string]bool{}
	for _, f := range faults {
		for _, t := range f.Tests {
			all[t.Package+" "+t.Name] = true
		}
	}
	return all
}

// clock divides a budget among the parts that are left, by their weights.
type clock struct {
	end  time.Time // zero: there is no bound
	left float64
}

func newClock(budget time.Duration, parts []part) *clock {
	c := &clock{}
	if budget > 0 {
		c.end = time.Now().Add(budget)
	}
	for _, p := range parts {
		c.left += p.weight
	}
	return c
}

// share is how long a part may take, 0 for as long as it likes. What one leaves is the others'.
func (c *clock) share(p part) (d time.Duration, ok bool) {
	weight := p.weight / c.left
	if c.left -= p.weight; c.end.IsZero() {
		return 0, true
	}
	rest := time.Until(c.end)
	return max(time.Duration(float64(rest)*weight), time.Second), rest > 0
}
