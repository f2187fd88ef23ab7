package ui

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"fmt"
	"mime"
	"net/http"
	"path"
	"strings"
	"sync"
)

// htmx.min.js is htmx (0BSD, assets/htmx.LICENSE), copied as it is from its package as
// docs/development.md says; everything else in assets is ours.
//
//go:embed assets/app.css assets/app.js assets/htmx.min.js assets/icon.svg
var assetFiles embed.FS

// asset is a file as it is sent. Its name in a URL has a digest of it, so that a browser may keep
// it for good.
type asset struct {
	kind          string
	plain, zipped []byte
	url           string
}

var assets = sync.OnceValue(func() map[string]*asset {
	all := map[string]*asset{}
	entries, err := assetFiles.ReadDir("assets")
	if err != nil {
		panic(err) // it is embedded
	}
	for _, entry := range entries {
		content, err := assetFiles.ReadFile("assets/" + entry.Name())
		if err != nil {
			panic(err)
		}
		var zipped bytes.Buffer
		z, _ := gzip.NewWriterLevel(&zipped, gzip.BestCompression) // the level is a good one
		_, _ = z.Write(content)                                    // a buffer takes everything
		_ = z.Close()
		sum := sha256.Sum256(content)
		ext := path.Ext(entry.Name())
		kind := mime.TypeByExtension(ext)
		if ext == ".js" {
			kind = "text/javascript; charset=utf-8"
		}
		all[entry.Name()] = &asset{
			kind: kind, plain: content, zipped: zipped.Bytes(),
			url: fmt.Sprintf("/assets/%s-%s%s", strings.TrimSuffix(entry.Name(), ext), hex.EncodeToString(sum[:6]), ext),
		}
	}
	return all
})

// assetURL is where a file is served.
func assetURL(name string) (string, error) {
	a := assets()[name]
	if a == nil {
		return "", fmt.Errorf("no asset %q", name)
	}
	return a.url, nil
}

var assetsByURL = sync.OnceValue(func() map[string]*asset {
	byURL := map[string]*asset{}
	for _, a := range assets() {
		byURL[a.url] = a
	}
	return byURL
})

// serveAsset needs no session: the login page has a style too, and nothing in assets is secret.
func serveAsset(w http.ResponseWriter, r *http.Request) {
	a := assetsByURL()[r.URL.Path]
	if a == nil {
		http.NotFound(w, r)
		return
	}
	h := w.Header()
	h.Set("Content-Type", a.kind)
	h.Set("Cache-Control", "public, max-age=31536000, immutable")
	h.Set("Vary", "Accept-Encoding")
	body := a.plain
	if strings.Contains(r.Header.Get("Accept-Encoding"), "gzip") {
		h.Set("Content-Encoding", "gzip")
		body = a.zipped
	}
	_, _ = w.Write(body) // a client that went away needs no answer
}
