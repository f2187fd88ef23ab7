package expression

import (
	"fmt"
	"time"

	"github.com/expr-lang/expr/vm"
)

// The bounds of one evaluation, whatever the payload holds. The time is that of the expression:
// parsing the body is the request's.
const (
	maxTime     = 50 * time.Millisecond
	maxBytes    = 16 << 20 // allocated in all, garbage too
	maxElements = 100_000  // of lists that the expression makes
)

var (
	errTime     = fmt.Errorf("the expression took longer than %s", maxTime)
	errLetTime  = fmt.Errorf("the let: values took longer than %s together", maxTime)
	errBytes    = fmt.Errorf("the expression used more than %d MiB", maxBytes>>20)
	errElements = fmt.Errorf("the expression made lists of more than %d elements", maxElements)
)

// Work is counted in units of roughly a nanosecond, and the clock is read once in a quantum of
// them, so that reading it costs next to nothing and no more than a fraction of a millisecond
// passes between two looks at it.
const (
	quantum  = 100_000
	nodeCost = 100 // one operation of the machine

	nodeBytes  = 24 // what one operation allocates, on average
	valueBytes = 64 // what a text or list needs beside its content
)

// budget is what is left to one evaluation, and where its names come from.
type budget struct {
	in       *Input
	bytes    int
	due      int           // units until the clock is read
	left     time.Duration // until the deadline, which is set when the clock is first read
	deadline time.Time
	late     error // what running out of time is called
	exceeded error
	trace    *trace // what an explanation notes; nil otherwise

	scratch []byte // where text is put together
	machine vm.VM  // kept for its stack
	busy    bool   // the machine is at work
}

func (b *budget) reset(in *Input, left time.Duration, late error) {
	b.in, b.bytes, b.due = in, maxBytes, quantum
	b.left, b.deadline, b.late, b.exceeded = left, time.Time{}, late, nil
}

// run runs a program. What is wrong with the expression or its values is an error; so is a
// panic of the library, or of ours.
func (b *budget) run(code *vm.Program) (v any, err error) {
	machine := &b.machine
	if b.busy { // a let: value inside a let: value
		machine = &vm.VM{}
	} else {
		b.busy = true
		defer func() { b.busy = false }()
	}
	defer func() {
		if r := recover(); r != nil {
			v, err = nil, fmt.Errorf("%v", r)
		}
	}()
	machine.MemoryBudget = maxElements
	v, err = machine.Run(code, b)
	if err == nil {
		err = b.exceeded // a loop may have ended on it
	}
	return v, err
}

// spend takes units of work.
func (b *budget) spend(units int) error {
	if b.due -= units; b.due > 0 && b.exceeded == nil {
		return nil
	}
	return b.readClock()
}

func (b *budget) readClock() error {
	if b.exceeded != nil {
		return b.exceeded
	}
	b.due = quantum
	switch now := time.Now(); {
	case b.deadline.IsZero():
		b.deadline = now.Add(b.left)
	case now.After(b.deadline):
		b.exceeded = b.late
	}
	return b.exceeded
}

// step takes the work and memory of so many operations.
func (b *budget) step(nodes int) error {
	if b.bytes -= nodeBytes * nodes; b.bytes < 0 && b.exceeded == nil {
		b.exceeded = errBytes
	}
	return b.spend(nodeCost * nodes)
}

// build takes the bytes of what a function builds, before it is built.
func (b *budget) build(n int) error {
	if b.bytes -= n + valueBytes; b.bytes < 0 && b.exceeded == nil {
		b.exceeded = errBytes
	}
	return b.spend(n)
}

// outside does what is no work of the expression, such as parsing the body: it takes no time.
func (b *budget) outside(f func()) {
	if b.deadline.IsZero() {
		f()
		return
	}
	began := time.Now()
	f()
	b.deadline = b.deadline.Add(time.Since(began))
}
