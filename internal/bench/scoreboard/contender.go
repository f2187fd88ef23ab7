package main

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/tenterhook/tenterhook/internal/config"
	"github.com/tenterhook/tenterhook/internal/daemon"
	"github.com/tenterhook/tenterhook/internal/hook"
	"github.com/tenterhook/tenterhook/internal/ingress"
	"github.com/tenterhook/tenterhook/internal/job"
	"github.com/tenterhook/tenterhook/internal/store/sqlite"
)

// The servers that this program is itself, in processes of their own.
const (
	bareServer   = "serve-bare"   // net/http and an HMAC, nothing else: what HTTP costs here
	singleServer = "serve-single" // our code with one transaction for each delivery
)

// serveContender serves until the process is told to end.
func serveContender(kind, file string) error {
	conf, problems := daemon.Load(config.Options{Path: file}, false)
	if err := problems.Err(); err != nil {
		return fmt.Errorf("read %s: %w", file, err)
	}
	switch kind {
	case bareServer:
		return http.ListenAndServe(conf.Settings.Server.Listen, http.HandlerFunc(bare))
	case singleServer:
		return serveSingle(conf)
	}
	return fmt.Errorf("there is no server %q", kind)
}

// bare checks the signature and answers.
func bare(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, 1<<20))
	if err != nil {
		http.Error(w, "", http.StatusBadRequest)
		return
	}
	mac := hmac.New(sha256.New, []byte(secret))
	mac.Write(body)
	sent, _ := hex.DecodeString(strings.TrimPrefix(r.Header.Get("X-Hub-Signature-256"), "sha256="))
	if !hmac.Equal(mac.Sum(nil), sent) {
		http.Error(w, "", http.StatusUnauthorized)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(http.StatusAccepted)
	_, _ = io.WriteString(w, `{"status":"accepted"}`)
}

// serveSingle is the daemon's way in with a store that commits each delivery alone.
func serveSingle(conf *daemon.Config) error {
	log := slog.New(slog.NewJSONHandler(os.Stderr, nil))
	s, err := sqlite.Open(context.Background(), filepath.Clean(conf.Settings.Store), sqlite.Options{Singly: true, Log: log})
	if err != nil {
		return err
	}
	h := ingress.New(ingress.Options{
		Hooks: func() *hook.Set { return conf.Hooks }, Store: s, Full: func() bool { return false }, Log: log, Observe: nobody{},
	})
	server := ingress.NewServer(h, nil)
	server.Addr = conf.Settings.Server.Listen
	return server.ListenAndServe()
}

// nobody counts nothing.
type nobody struct{}

func (nobody) Delivered(string, job.Outcome, time.Duration) {}
func (nobody) Refused(string, string)                       {}
func (nobody) Collected(string, job.Outcome)                {}
func (nobody) SecretMatched(string, int)                    {}
func (nobody) RuleFailed(string, string)                    {}
