package request

import "testing"

// FuzzDecode reads any body as every format: it never panics, and what is read twice is the same.
func FuzzDecode(f *testing.F) {
	f.Add("application/json", []byte(`{"a":[1,1.50,null]}`))
	f.Add("application/x-ndjson", []byte("{}\n[]\n"))
	f.Add("application/xml", []byte(`<a b="c"><d>e</d><d/>f</a>`))
	f.Add("multipart/form-data; boundary=x", []byte("--x\r\nContent-Disposition: form-data; name=\"a\"; filename=\"b\"\r\n\r\nc\r\n--x--"))
	f.Add("application/x-www-form-urlencoded", []byte("a=1&a=2&payload=%7B%7D"))
	f.Add("text/plain", []byte("\xff"))
	f.Fuzz(func(t *testing.T, contentType string, body []byte) {
		for _, format := range append(Formats(), "") {
			_, err := Decode(format, contentType, body)
			if _, again := Decode(format, contentType, body); (err == nil) != (again == nil) {
				t.Errorf("%q as %q: %v, then %v", body, format, err, again)
			}
		}
	})
}
