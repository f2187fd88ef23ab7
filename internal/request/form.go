package request

import (
	"bytes"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"mime"
	"mime/multipart"
	"net/url"
	"strings"
	"unicode/utf8"
)

func decodeText(body []byte) (any, error) {
	if !utf8.Valid(body) {
		return nil, errors.New("not UTF-8")
	}
	return string(body), nil
}

// decodeFormPayload reads a form, and takes the JSON out of a form that is nothing but
// payload={…}: GitHub's deliveries of the form content type.
func decodeFormPayload(body []byte) (any, error) {
	form, err := decodeForm(body)
	if err != nil {
		return nil, err
	}
	if text, ok := form["payload"].(string); ok && len(form) == 1 && strings.HasPrefix(strings.TrimLeft(text, " \t\r\n"), "{") {
		return decodeJSON([]byte(text))
	}
	return form, nil
}

func decodeForm(body []byte) (map[string]any, error) {
	if bytes.Count(body, []byte("&")) >= maxFields {
		return nil, fmt.Errorf("more than %d fields", maxFields)
	}
	values, err := url.ParseQuery(string(body))
	if err != nil {
		return nil, errors.New("malformed")
	}
	out := make(map[string]any, len(values))
	for name, list := range values {
		for i, value := range list {
			if !utf8.ValidString(value) || !utf8.ValidString(name) {
				return nil, errors.New("not UTF-8")
			}
			add(out, name, value, i > 0)
		}
	}
	return out, nil
}

// add sets a field, or makes it a list when its name repeats.
func add(form map[string]any, name string, value any, again bool) {
	switch was := form[name].(type) {
	case []any:
		form[name] = append(was, value)
	case nil:
		form[name] = value
	default:
		if !again {
			form[name] = value
			return
		}
		form[name] = []any{was, value}
	}
}

// decodeMultipart reads fields as strings, and files as {filename, content_type, size, content}
// with the content as text when it is UTF-8. Nothing is written to disk, and a file's name is
// only ever a value.
func decodeMultipart(contentType string, body []byte) (any, error) {
	_, params, err := mime.ParseMediaType(contentType)
	if err != nil || params["boundary"] == "" {
		return nil, errors.New("no boundary")
	}
	reader := multipart.NewReader(bytes.NewReader(body), params["boundary"])
	out := map[string]any{}
	for n := 0; ; n++ {
		part, err := reader.NextRawPart()
		if err == io.EOF {
			return out, nil
		}
		if err != nil {
			return nil, errors.New("malformed")
		}
		if n >= maxParts {
			return nil, fmt.Errorf("more than %d parts", maxParts)
		}
		content, err := io.ReadAll(part)
		if err != nil {
			return nil, errors.New("malformed")
		}
		name, _, again := part.FormName(), 0, out[part.FormName()] != nil
		if part.FileName() == "" {
			if !utf8.Valid(content) {
				return nil, errors.New("a field is not UTF-8")
			}
			add(out, name, string(content), again)
			continue
		}
		file := map[string]any{"filename": part.FileName(), "content_type": part.Header.Get("Content-Type"), "size": int64(len(content))}
		if utf8.Valid(content) {
			file["content"] = string(content)
		}
		add(out, name, file, again)
	}
}

// decodeXML reads an element as a map: attributes as "@name", text as "#text", children by
// name, a list when a name repeats. An element with text alone is that text. Document types,
// and so entities of one's own, are refused.
func decodeXML(body []byte) (any, error) {
	d := xmlDecoder{Decoder: xml.NewDecoder(bytes.NewReader(body)), nodes: maxNodes}
	for {
		token, err := d.RawToken()
		if err == io.EOF {
			return nil, errors.New("no element")
		}
		if err != nil {
			return nil, errors.New("malformed")
		}
		switch t := token.(type) {
		case xml.Directive:
			return nil, errors.New("document types are refused")
		case xml.StartElement:
			v, err := d.element(t, 0)
			if err != nil {
				return nil, err
			}
			return map[string]any{t.Name.Local: v}, d.end()
		}
	}
}

type xmlDecoder struct {
	*xml.Decoder
	nodes int
}

func (d *xmlDecoder) end() error {
	for {
		token, err := d.RawToken()
		if err == io.EOF {
			return nil
		}
		text, isText := token.(xml.CharData)
		_, isComment := token.(xml.Comment)
		if err != nil || !isComment && (!isText || strings.TrimSpace(string(text)) != "") {
			return errors.New("there is more after the element")
		}
	}
}

func (d *xmlDecoder) element(start xml.StartElement, depth int) (any, error) {
	if depth == maxDepth {
		return nil, errDeep
	}
	if d.nodes -= 1 + len(start.Attr); d.nodes < 0 {
		return nil, errWide
	}
	out := map[string]any{}
	for _, a := range start.Attr {
		out["@"+a.Name.Local] = a.Value
	}
	var text strings.Builder
	for {
		token, err := d.RawToken()
		if err != nil {
			return nil, errors.New("malformed")
		}
		switch t := token.(type) {
		case xml.StartElement:
			child, err := d.element(t, depth+1)
			if err != nil {
				return nil, err
			}
			_, again := out[t.Name.Local]
			add(out, t.Name.Local, child, again)
		case xml.CharData:
			text.Write(t)
		case xml.Directive:
			return nil, errors.New("document types are refused")
		case xml.EndElement:
			if t.Name != start.Name {
				return nil, errors.New("malformed")
			}
			return content(out, strings.TrimSpace(text.String())), nil
		}
	}
}

func content(children map[string]any, text string) any {
	if len(children) == 0 {
		return text
	}
	if text != "" {
		children["#text"] = text
	}
	return children
}
