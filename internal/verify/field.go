package verify

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"strings"

	"github.com/tenterhook/tenterhook/internal/request"
)

// SetField writes a text into the body of a request that is about to be sent: path a.b is the
// member b of the member a of a JSON object, or a field of a form. Everything else in the body
// keeps its bytes. The error says that the body is neither, or that a is not an object.
func SetField(r *request.Request, path, value string) error {
	media, _, _ := strings.Cut(r.Header.Get("Content-Type"), ";")
	if strings.EqualFold(strings.TrimSpace(media), "application/x-www-form-urlencoded") && !bytes.HasPrefix(bytes.TrimSpace(r.Body), []byte("{")) {
		form, err := url.ParseQuery(string(r.Body))
		if err != nil {
			return errors.New("body is not a form")
		}
		form.Set(path, value)
		r.Replace(r.RawQuery, []byte(form.Encode()))
		return nil
	}
	text, err := json.Marshal(value)
	if err != nil {
		return fmt.Errorf("encode field %s: %w", path, err)
	}
	body, err := spliceMember(r.Body, strings.Split(path, "."), text)
	if err != nil {
		return fmt.Errorf("set field %s: %w", path, err)
	}
	r.Replace(r.RawQuery, body)
	return nil
}

// spliceMember replaces the member's bytes, or puts it first in its object when it is not there.
func spliceMember(object []byte, path []string, value []byte) ([]byte, error) {
	d := json.NewDecoder(bytes.NewReader(object))
	if open, err := d.Token(); err != nil || open != json.Delim('{') {
		return nil, errors.New("body is not a JSON object")
	}
	inside := d.InputOffset()
	empty := !d.More()
	for d.More() {
		name, err := d.Token()
		if err != nil {
			return nil, errors.New("body is not JSON")
		}
		var old json.RawMessage
		if err := d.Decode(&old); err != nil {
			return nil, errors.New("body is not JSON")
		}
		if name != path[0] {
			continue
		}
		if len(path) > 1 {
			if value, err = spliceMember(old, path[1:], value); err != nil {
				return nil, err
			}
		}
		end := d.InputOffset()
		return bytes.Join([][]byte{object[:end-int64(len(old))], value, object[end:]}, nil), nil
	}
	for i := len(path) - 1; i > 0; i-- {
		value = fmt.Appendf(nil, "{%s:%s}", quoted(path[i]), value)
	}
	member := fmt.Appendf(nil, "%s:%s", quoted(path[0]), value)
	if !empty {
		member = append(member, ',')
	}
	return bytes.Join([][]byte{object[:inside], member, object[inside:]}, nil), nil
}

func quoted(name string) []byte {
	text, err := json.Marshal(name)
	if err != nil {
		panic(err) // a string always has a JSON form
	}
	return text
}
