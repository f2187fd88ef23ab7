package ingress

import (
	"bytes"
	"compress/gzip"
	"errors"
	"io"
	"net/http"
	"strings"
	"time"

	"github.com/tenterhook/tenterhook/internal/hook"
	"github.com/tenterhook/tenterhook/internal/request"
)

// knownEncoding reports whether a body in this content encoding can be read.
func knownEncoding(encoding string) bool {
	switch strings.ToLower(encoding) {
	case "", "identity", "gzip", "x-gzip":
		return true
	}
	return false
}

// expand is the content of a compressed body. It is bounded as the body is: a bomb is a body
// that is too large.
func expand(body []byte, most int64) ([]byte, error) {
	reader, err := gzip.NewReader(bytes.NewReader(body))
	if err != nil {
		return nil, errors.New("the body is not gzip, which its Content-Encoding says it is")
	}
	content, err := io.ReadAll(io.LimitReader(reader, most+1))
	if err != nil {
		return nil, errors.New("the gzip of the body is broken")
	}
	if int64(len(content)) > most {
		return nil, &http.MaxBytesError{Limit: most}
	}
	return content, nil
}

// verify verifies a request. Of a compressed one some senders sign what they compressed, others
// what they sent; whichever it is, from here on the request has the content.
func (h *Handler) verify(hk *hook.Hook, req *request.Request, started time.Time) (secret int, no *refusal) {
	encoding := req.Header.Get("Content-Encoding")
	if encoding == "" || strings.EqualFold(encoding, "identity") {
		secret, err := hk.Verify(req, started)
		if err != nil {
			return -1, &refusal{status: http.StatusUnauthorized, word: "verification_failed", reason: err.Error()}
		}
		return secret, nil
	}
	sent := *req
	secret, err := hk.Verify(&sent, started)
	content, errExpand := expand(req.Body, hk.MaxBody)
	if errExpand == nil {
		req.Body = content
		if err != nil {
			secret, err = hk.Verify(req, started)
		}
	}
	var over *http.MaxBytesError
	switch {
	case err != nil:
		return -1, &refusal{status: http.StatusUnauthorized, word: "verification_failed", reason: err.Error()}
	case errors.As(errExpand, &over):
		return -1, &refusal{status: http.StatusRequestEntityTooLarge, word: "body_too_large", limit: hk.MaxBody}
	case errExpand != nil:
		return -1, &refusal{status: http.StatusBadRequest, word: "body_undecodable", reason: errExpand.Error()}
	}
	req.Header = req.Header.Clone()
	req.Header.Del("Content-Encoding")
	return secret, nil
}
