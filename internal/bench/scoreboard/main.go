// Command scoreboard measures the real program beside the limits of the machine and beside a
// peer, everything in one go, and says which targets are reached:
//
//	go run ./internal/bench/scoreboard            # about ten minutes
//	go run ./internal/bench/scoreboard -short     # under two
//	go run ./internal/bench/scoreboard -write docs
//
// The contenders of a comparison take turns within one run, several rounds of it, and what is
// printed are medians; a ratio is the median of the rounds' ratios. Read the ratios: figures
// depend on the machine and on what else it does. Load comes from this machine, on the same
// cores: closed loop from wrk (or vegeta, where wrk is not installed), open loop from vegeta,
// which does not wait for answers and so omits nothing that a slow server delays. The peer is
// the `webhook` program, Debian's package of that name; without it its lines are left out.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"
)

// options are the flags.
type options struct {
	short  bool
	write  string
	only   string
	rounds int
	span   time.Duration // of one measurement
	stored int
	keep   string // folder for the files of the run
}

func main() {
	if len(os.Args) == 3 && strings.HasPrefix(os.Args[1], "serve-") {
		if err := serveContender(os.Args[1], os.Args[2]); err != nil {
			fmt.Fprintln(os.Stderr, "scoreboard:", err)
			os.Exit(1)
		}
		return
	}
	o := readFlags()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, o); err != nil {
		fmt.Fprintln(os.Stderr, "scoreboard:", err)
		os.Exit(1)
	}
}

func readFlags() options {
	var o options
	flag.BoolVar(&o.short, "short", false, "one round, short measurements, small stores")
	flag.StringVar(&o.write, "write", "", "`folder` of the documentation: put the table into performance.md there and the plots into images/")
	flag.StringVar(&o.only, "only", "", "comma-separated `sections` to run: "+strings.Join(sectionNames(), ", "))
	flag.IntVar(&o.rounds, "rounds", 0, "rounds of each comparison (default 3, short 1)")
	flag.DurationVar(&o.span, "span", 0, "length of one measurement (default 2s, short 1s)")
	flag.IntVar(&o.stored, "stored", 0, "deliveries in the large store (default 5000000, short 200000)")
	flag.StringVar(&o.keep, "dir", "", "`folder` on the disk to measure (default a temporary one)")
	flag.Parse()
	o.rounds = pick(o.rounds, o.short, 1, 3)
	o.span = pick(o.span, o.short, time.Second, 2*time.Second)
	o.stored = pick(o.stored, o.short, 200_000, 5_000_000)
	return o
}

// pick is the value a flag was given, or the default of the short or the standard form.
func pick[T comparable](given T, short bool, shortly, standard T) T {
	var none T
	switch {
	case given != none:
		return given
	case short:
		return shortly
	}
	return standard
}

// section is one group of measurements.
type section struct {
	name    string
	measure func(context.Context, *lab, *board) error
}

var sections = []section{
	{"accept", measureAccept},
	{"openloop", measureOpenLoop},
	{"jobs", measureJobs},
	{"slowdisk", measureSlowDisk},
	{"routes", measureRoutes},
	{"bodies", measureBodies},
	{"growth", measureGrowth},
	{"start", measureStart},
	{"memory", measureMemory},
}

func sectionNames() (names []string) {
	for _, s := range sections {
		names = append(names, s.name)
	}
	return names
}

func run(ctx context.Context, o options) error {
	l, err := newLab(o)
	if err != nil {
		return err
	}
	defer l.close()
	b := &board{Machine: describeMachine(l.dir), Began: time.Now(), Short: o.short, Rounds: o.rounds, Generator: l.generatorName()}
	fmt.Println(b.Machine)
	fmt.Printf("closed loop: %s; open loop: vegeta; %d rounds of %v\n\n", b.Generator, o.rounds, o.span)
	var failed error
	for _, s := range sections {
		if o.only != "" && !strings.Contains(","+o.only+",", ","+s.name+",") {
			continue
		}
		began := time.Now()
		fmt.Printf("── %s\n", s.name)
		if err := s.measure(ctx, l, b); err != nil {
			if ctx.Err() != nil {
				return errors.New("interrupted")
			}
			fmt.Printf("   this section ended early: %v\n", err)
			failed = errors.Join(failed, fmt.Errorf("%s: %w", s.name, err))
		}
		fmt.Printf("   (%.0f s)\n\n", time.Since(began).Seconds())
	}
	b.Took = time.Since(b.Began)
	b.printTargets(os.Stdout)
	if o.write != "" {
		failed = errors.Join(failed, b.write(o.write))
	}
	return failed
}
