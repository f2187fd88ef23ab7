package action

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"io"
	"net/url"
	"strings"
	"sync"
)

const redacted = "[redacted]"

// mask replaces secrets in what is shown of an action. It is immutable.
type mask struct {
	secrets map[[2]byte][][]byte // by how they begin
	begins  [1 << 8]bool         // first bytes of secrets
	longest int
	values  []string // as they were given
}

// Masks are made once of the values of a configuration that are never shown, for all its
// actions: there may be thousands of both.
type Masks struct {
	commands, requests func() *mask
}

// NewMasks makes the masks of values, on first use.
func NewMasks(values []string) *Masks {
	return &Masks{
		commands: sync.OnceValue(func() *mask { return newMask(values) }),
		requests: sync.OnceValue(func() *mask { return newMask(bare(values)) }),
	}
}

func (m *Masks) ofCommands() *mask {
	if m == nil {
		return newMask(nil)
	}
	return m.commands()
}

// ofRequests is the mask of what is sent by HTTP, where a secret may have lost its prefix.
func (m *Masks) ofRequests() *mask {
	if m == nil {
		return newMask(nil)
	}
	return m.requests()
}

// newMask takes secrets of two bytes or more; one byte cannot be kept secret.
func newMask(values []string) *mask {
	m := &mask{secrets: map[[2]byte][][]byte{}, values: values}
	seen := map[string]bool{}
	for _, value := range values {
		for _, form := range forms(value) {
			if len(form) < 2 || seen[form] {
				continue
			}
			seen[form] = true
			key := [2]byte{form[0], form[1]}
			m.secrets[key] = append(m.secrets[key], []byte(form))
			m.begins[form[0]] = true
			m.longest = max(m.longest, len(form))
		}
	}
	return m
}

func (m *mask) text(s string) string {
	if m.longest == 0 {
		return s
	}
	var out strings.Builder
	w := m.writer(&out)
	_, _ = io.WriteString(w, s) // a Builder takes everything
	_ = w.Flush()
	return out.String()
}

// masker is a writer that replaces secrets in what passes through, also when they are split
// over writes: it holds back as much of the end as could be the beginning of one. Secrets that
// overlap are replaced as one.
type masker struct {
	*mask
	out     io.Writer
	held    []byte
	covered int // of held: the rest of a secret whose replacement has been written
}

func (m *mask) writer(out io.Writer) *masker { return &masker{mask: m, out: out} }

// shortestEncoded is the least length of a secret that is looked for in other forms too: those
// of a shorter one are found by chance.
const shortestEncoded = 8

// longestEncoded is the greatest length of such a secret: longer ones are files.
const longestEncoded = 4096

// forms are a secret and what it looks like inside a URL, JSON, a hex dump or base64, there also
// with something before it, as in an Authorization header.
func forms(secret string) []string {
	out := []string{secret}
	if len(secret) < shortestEncoded || len(secret) > longestEncoded {
		return out
	}
	quoted, _ := json.Marshal(secret) // a string always can be
	out = append(out, string(quoted[1:len(quoted)-1]), url.QueryEscape(secret), url.PathEscape(secret),
		hex.EncodeToString([]byte(secret)), strings.ToUpper(hex.EncodeToString([]byte(secret))))
	for _, encoding := range []*base64.Encoding{base64.RawStdEncoding, base64.RawURLEncoding} {
		for before := range 3 {
			encoded := encoding.EncodeToString(append(make([]byte, before), secret...))
			first := (before*8 + 5) / 6            // characters that hold nothing but the secret begin here
			last := (before + len(secret)) * 8 / 6 // and end here
			out = append(out, encoded[first:min(last, len(encoded))])
		}
	}
	return out
}

func (m *masker) Write(p []byte) (int, error) {
	if m.longest == 0 {
		return m.out.Write(p)
	}
	m.held = append(m.held, p...)
	if err := m.pass(m.begun()); err != nil {
		return 0, err
	}
	return len(p), nil
}

// Flush passes on what was held back.
func (m *masker) Flush() error {
	if len(m.held) == 0 {
		return nil
	}
	return m.pass(0)
}

// pass writes what is held but its last bytes, in which a secret could begin that has not come
// to its end yet. All secrets that begin before those are there in full.
func (m *masker) pass(keep int) error {
	var clean bytes.Buffer
	end := len(m.held) - keep
	done := m.covered // up to here held is written
	for _, s := range m.found() {
		switch {
		case s.from >= end: // it is found again with what is kept
		case s.from >= done:
			clean.Write(m.held[done:s.from])
			clean.WriteString(redacted)
			done = s.to
		default:
			done = max(done, s.to)
		}
	}
	if done < end {
		clean.Write(m.held[done:end])
		done = end
	}
	m.held = append(m.held[:0], m.held[end:]...)
	m.covered = done - end
	_, err := m.out.Write(clean.Bytes())
	return err
}

// stretch is where a secret is in what is held.
type stretch struct{ from, to int }

// found finds every secret in what is held, in the order of their beginnings.
func (m *masker) found() []stretch {
	var out []stretch
	for i := 0; i+1 < len(m.held); i++ {
		if !m.begins[m.held[i]] {
			continue
		}
		for _, s := range m.secrets[[2]byte(m.held[i:])] {
			if bytes.HasPrefix(m.held[i:], s) {
				out = append(out, stretch{i, i + len(s)})
			}
		}
	}
	return out
}

// begun is how many bytes at the end of what is held could begin a secret.
func (m *masker) begun() int {
	for n := min(m.longest-1, len(m.held)); n > 1; n-- {
		end := m.held[len(m.held)-n:]
		if !m.begins[end[0]] {
			continue
		}
		for _, s := range m.secrets[[2]byte(end)] {
			if len(s) > n && bytes.HasPrefix(s, end) {
				return n
			}
		}
	}
	if n := len(m.held); n > 0 && m.begins[m.held[n-1]] {
		return 1
	}
	return 0
}
