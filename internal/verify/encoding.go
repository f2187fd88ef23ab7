package verify

import (
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
)

// The encodings of a signature.
const (
	hexAny    = "hex"       // all lower or all upper case
	hexLower  = "hex-lower" // as nearly every sender writes it
	base64Std = "base64"    // padded
	base64URL = "base64url" // padded or not
)

var encodings = []string{hexAny, hexLower, base64Std, base64URL}

// unsign decodes a signature of exactly len(dst) bytes. Whatever is shorter, longer or has one
// character too many is no signature: comparing a part of one is how receivers get fooled.
func unsign(dst []byte, text, encoding string) bool {
	switch encoding {
	case hexAny:
		return unhex(dst, text, 'a') || unhex(dst, text, 'A')
	case hexLower:
		return unhex(dst, text, 'a')
	case base64URL:
		return unbase64(dst, text, base64.URLEncoding) || unbase64(dst, text, base64.RawURLEncoding)
	}
	return unbase64(dst, text, base64.StdEncoding)
}

// unhex takes letters of one case only, that of ten.
func unhex(dst []byte, text string, ten byte) bool {
	if len(text) != 2*len(dst) {
		return false
	}
	for i := range len(text) {
		var digit byte
		switch c := text[i]; {
		case '0' <= c && c <= '9':
			digit = c - '0'
		case ten <= c && c <= ten+5:
			digit = c - ten + 10
		default:
			return false
		}
		dst[i/2] = dst[i/2]<<4 | digit
	}
	return true
}

// unbase64 is strict: the package's decoder would skip line breaks and stray bits.
func unbase64(dst []byte, text string, encoding *base64.Encoding) bool {
	if len(text) != encoding.EncodedLen(len(dst)) || strings.ContainsAny(text, "\r\n") {
		return false
	}
	decoded, err := encoding.Strict().DecodeString(text)
	return err == nil && len(decoded) == len(dst) && copy(dst, decoded) == len(dst)
}

// sign encodes a signature as senders write it.
func sign(mac []byte, encoding string) string {
	switch encoding {
	case base64Std:
		return base64.StdEncoding.EncodeToString(mac)
	case base64URL:
		return base64.RawURLEncoding.EncodeToString(mac)
	}
	return hex.EncodeToString(mac)
}

// shape describes a signature of size bytes to a person.
func shape(size int, encoding string) string {
	switch encoding {
	case base64Std:
		return fmt.Sprintf("%d characters of base64", base64.StdEncoding.EncodedLen(size))
	case base64URL:
		return fmt.Sprintf("%d characters of base64url", base64.RawURLEncoding.EncodedLen(size))
	case hexLower:
		return fmt.Sprintf("%d lower-case hex digits", 2*size)
	}
	return fmt.Sprintf("%d hex digits", 2*size)
}

// The encodings of a secret.
var secretEncodings = []string{"utf8", "hex", "base64"}

// decodeSecret makes a key of a configured secret. An empty key is an error: HMAC takes it, and
// so would anyone's forgery.
func decodeSecret(secret []byte, encoding string) ([]byte, error) {
	key := secret
	switch encoding {
	case "hex":
		decoded, err := hex.DecodeString(string(secret))
		if err != nil {
			return nil, errors.New("the secret is not hex")
		}
		key = decoded
	case "base64":
		decoded, err := anyBase64(string(secret))
		if err != nil {
			return nil, err
		}
		key = decoded
	}
	if len(key) == 0 {
		return nil, errors.New("the secret is empty")
	}
	return key, nil
}

// anyBase64 reads secrets, which people paste with and without padding.
func anyBase64(text string) ([]byte, error) {
	trimmed := strings.TrimRight(text, "=")
	if strings.ContainsAny(trimmed, "\r\n") || len(text)-len(trimmed) > 2 {
		return nil, errors.New("the secret is not base64")
	}
	decoded, err := base64.RawStdEncoding.DecodeString(trimmed)
	if err != nil {
		return nil, errors.New("the secret is not base64")
	}
	return decoded, nil
}
