// Package panics keeps a panic to the one request or job it is of: the daemon lives on, its log
// names the place, and the sender is told that it was no fault of theirs.
package panics

import (
	"fmt"
	"net/http"
	"runtime"
	"runtime/debug"
)

// mostStack bounds a stack in the log, in bytes: the top of it says where.
const mostStack = 8 << 10

// Panic is one, as it can be logged.
type Panic struct {
	// Text is what it says. Only the runtime's own errors are quoted: they hold nothing of a
	// payload, and any other value may.
	Text  string
	Stack string // at most 8 KiB
}

// Of describes the value that recover returned. It must be called by the deferred function.
func Of(v any) Panic {
	p := Panic{Text: fmt.Sprintf("a value of type %T", v)}
	if err, ok := v.(runtime.Error); ok {
		p.Text = err.Error()
	}
	stack := debug.Stack()
	p.Stack = string(stack[:min(len(stack), mostStack)])
	return p
}

// Serve serves one request. A panic is told and then answered; when an answer has begun, the
// connection is cut instead, so that a half is not taken for the whole. A panic with
// http.ErrAbortHandler is how a handler asks for just that, and is not told.
func Serve(w http.ResponseWriter, r *http.Request, serve http.HandlerFunc, told func(Panic), answer http.HandlerFunc) {
	watched := &writer{ResponseWriter: w}
	defer func() {
		v := recover()
		switch {
		case v == nil:
			return
		case v == http.ErrAbortHandler: //nolint:errorlint // the very value, as net/http has it
			panic(v)
		}
		told(Of(v))
		if watched.begun {
			panic(http.ErrAbortHandler)
		}
		answer(w, r)
	}()
	serve(watched, r)
}

// writer knows whether an answer has begun.
type writer struct {
	http.ResponseWriter
	begun bool
}

// WriteHeader implements http.ResponseWriter.
func (w *writer) WriteHeader(status int) {
	w.begun = true
	w.ResponseWriter.WriteHeader(status)
}

// Write implements http.ResponseWriter.
func (w *writer) Write(b []byte) (int, error) {
	w.begun = true
	return w.ResponseWriter.Write(b)
}

// Unwrap is for http.ResponseController.
func (w *writer) Unwrap() http.ResponseWriter { return w.ResponseWriter }

// Plain is the writer that net/http gave to Serve: http.MaxBytesReader closes the connection
// behind a body that is too large only when it knows the writer as its own.
func Plain(w http.ResponseWriter) http.ResponseWriter {
	if watched, ok := w.(*writer); ok {
		return watched.ResponseWriter
	}
	return w
}
