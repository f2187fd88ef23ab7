package hook

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/rand"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"net/http"
	"slices"

	"github.com/tenterhook/tenterhook/internal/config"
	"github.com/tenterhook/tenterhook/internal/verify"
)

// Hold says that a hook's deliveries are held for others to take, and that nothing is run for them.
type Hold struct {
	Most int // that wait; beyond it a sender is told to come again
}

type holdSpec struct {
	Most *int `yaml:"most" doc:"How many deliveries wait at most; beyond it the answer is 503." default:"10000"`
}

const (
	defaultHold = 10_000
	largestHold = 1_000_000
)

// compileHold reads hold:, which is true or a mapping.
func compileHold(h *Hook, spec *hookSpec, node config.Node, d *config.Diagnostics) {
	if spec.Hold.IsZero() {
		return
	}
	if spec.Hold.Kind() == config.KindScalar {
		switch word := spec.Hold.Text(d); word.Value {
		case "true":
		case "false":
			return
		default:
			d.Errorf(word, "hold is true, false or a mapping").Hint("hold: {most: %d}", defaultHold)
		}
	}
	h.Hold = &Hold{Most: defaultHold}
	if spec.Hold.Kind() == config.KindMap {
		s := holdSpec{Most: &h.Hold.Most}
		spec.Hold.Decode(&s, d)
		h.Hold.Most = *s.Most
	}
	if h.Hold.Most < 1 || h.Hold.Most > largestHold {
		d.Errorf(spec.Hold.Find("most"), "most is between 1 and %d", largestHold)
	}
	for _, other := range []struct {
		name string
		node config.Node
	}{{"rules", spec.Rules}, {"expect", spec.Expect}, {"catchup", spec.Catchup}, {"pull", spec.Pull}} {
		if !other.node.IsZero() {
			d.Errorf(node.Key(other.name), "hold and %s contradict each other: nothing is run for what is held", other.name).Hint("it belongs to the hook that takes the deliveries")
		}
	}
	h.checkHeldScheme(spec, d)
}

// checkHeldScheme refuses schemes that a taker could not check again.
func (h *Hook) checkHeldScheme(spec *hookSpec, d *config.Diagnostics) {
	if h.verifier == nil {
		return
	}
	if p, ok := h.verifier.(verify.Placer); ok {
		if query, field := p.Places(); query != "" || field != "" {
			d.Errorf(spec.Hold, "hold and a secret in the query or the body contradict each other: it would be kept")
		}
	}
	if h.WantsCertificate() {
		d.Errorf(spec.Hold, "hold and a client's certificate contradict each other: it cannot be handed on")
	}
}

// sealInfo keeps this use of a secret apart from every other.
const sealInfo = "tenterhook: headers of held deliveries"

// Seal makes of the headers that are withheld what may be stored: who has the hook's secret can open
// it, and nobody else. Without a secret nothing of them is kept.
func (h *Hook) Seal(header http.Header) ([]byte, error) {
	kept := http.Header{}
	for _, name := range h.withhold {
		if values := header.Values(name); len(values) > 0 {
			kept[http.CanonicalHeaderKey(name)] = values
		}
	}
	if len(kept) == 0 || len(h.secrets) == 0 {
		return nil, nil
	}
	plain, err := json.Marshal(kept)
	if err != nil {
		return nil, err
	}
	aead, err := h.sealer(h.secrets[0])
	if err != nil {
		return nil, err
	}
	nonce := make([]byte, aead.NonceSize())
	_, _ = rand.Read(nonce) // it never fails
	return aead.Seal(nonce, nonce, plain, nil), nil
}

// Unseal gives back what Seal was given, with any of the secrets that are configured now: those of a
// secret that is not one any more would not verify either.
func (h *Hook) Unseal(sealed []byte) (http.Header, error) {
	if len(sealed) == 0 {
		return nil, nil //nolint:nilnil // nothing was sealed
	}
	for _, secret := range h.secrets {
		aead, err := h.sealer(secret)
		if err != nil || len(sealed) < aead.NonceSize() {
			continue
		}
		plain, err := aead.Open(nil, sealed[:aead.NonceSize()], sealed[aead.NonceSize():], nil)
		if err != nil {
			continue
		}
		var header http.Header
		if err := json.Unmarshal(plain, &header); err != nil {
			return nil, err
		}
		return header, nil
	}
	return nil, errors.New("none of the hook's secrets opens what was sealed")
}

func (h *Hook) sealer(secret []byte) (cipher.AEAD, error) {
	key, err := hkdf.Key(sha256.New, slices.Clone(secret), []byte(h.Name), sealInfo, 32)
	if err != nil {
		return nil, err
	}
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, err
	}
	return cipher.NewGCM(block)
}
