package daemon_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"

	"github.com/tenterhook/tenterhook/internal/admin"
)

// versioned is a configuration whose answer tells which version runs.
func versioned(dir string, n int) string {
	return header(dir) + fmt.Sprintf(`hooks:
  - {name: probe, path: /probe, verify: none, dedupe: none, match: "false", run: ":", respond: {ignored: {status: 200, body: "v%d"}}}
`, n)
}

// saves are the ways editors and tools replace a file.
var saves = []struct {
	name string
	save func(t *testing.T, path, content string)
}{
	{"rename over", func(t *testing.T, path, content string) {
		write(t, path+".new", content)
		must(t, os.Rename(path+".new", path))
	}},
	{"truncate and write", write},
	{"write in two halves", func(t *testing.T, path, content string) {
		f, err := os.OpenFile(path, os.O_WRONLY|os.O_TRUNC, 0)
		must(t, err)
		_, err = f.WriteString(content[:len(content)/2])
		must(t, err)
		_, err = f.WriteString(content[len(content)/2:])
		must(t, err)
		must(t, f.Close())
	}},
	{"remove and create", func(t *testing.T, path, content string) {
		must(t, os.Remove(path))
		write(t, path, content)
	}},
	{"move away and create", func(t *testing.T, path, content string) {
		must(t, os.Rename(path, path+"~"))
		write(t, path, content)
	}},
	{"symlink", func(t *testing.T, path, content string) {
		target := filepath.Join(filepath.Dir(path), "elsewhere-"+strconv.Itoa(len(content))+"-"+strconv.FormatInt(stamp.Add(1), 10))
		write(t, target, content)
		must(t, os.Symlink(target, path+".link"))
		must(t, os.Rename(path+".link", path))
	}},
}

var stamp atomic.Int64

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func (r *running) version() string {
	r.t.Helper()
	return r.send("POST", "/probe", "", nil).body
}

// TestReload_EverySaveStyleUnderLoad edits the file again and again, every second time into
// something broken, while requests go on: none may fail, and each good edit must arrive.
// TENTERHOOK_EDITS sets how many edits are made.
func TestReload_EverySaveStyleUnderLoad(t *testing.T) {
	t.Parallel()
	dir := shortDir(t)
	path := filepath.Join(dir, "hooks.yaml")
	write(t, path, versioned(dir, 0))
	r := startIn(t, dir)
	stop := make(chan struct{})
	var served, failed atomic.Int64
	loadDone := make(chan struct{})
	go func() {
		defer close(loadDone)
		for {
			select {
			case <-stop:
				return
			default:
			}
			if a, err := send("POST", r.url("/probe"), "", nil); err != nil || a.status != 200 {
				failed.Add(1)
			}
			served.Add(1)
		}
	}()
	edits := 0
	for i := range rounds(t, "TENTERHOOK_EDITS", 24) {
		n := i + 1
		edits = n
		how := saves[n%len(saves)]
		if n%2 == 0 {
			how.save(t, path, broken(n))
			r.eventually("the bad edit to be reported", func() bool { return !r.status().Config.LastReloadOK })
		}
		how.save(t, path, versioned(dir, n))
		want := fmt.Sprintf("v%d", n)
		r.eventually(how.name+" to arrive as "+want, func() bool { return r.version() == want })
		r.eventually("the report to be good again", func() bool { return r.status().Config.LastReloadOK })
	}
	close(stop)
	<-loadDone
	if failed.Load() > 0 {
		t.Errorf("%d of %d requests failed while the file was edited", failed.Load(), served.Load())
	}
	none(t, served.Load(), "requests failed during %d edits, every second of them first a broken one", edits)
	none(t, int64(edits), "edits was not taken up")
}

// broken is one of the ways a file is wrong.
func broken(n int) string {
	all := []string{"", "# nothing\n", "hooks: []\n", "hooks: [", "null\n", "hooks:\n  - {name: probe, pth: /probe}\n"}
	return all[n/2%len(all)]
}

func TestReload_ABadFileChangesNothingAndIsReportedWithItsPlace(t *testing.T) {
	dir := shortDir(t)
	path := filepath.Join(dir, "hooks.yaml")
	write(t, path, versioned(dir, 1))
	r := startIn(t, dir)
	write(t, path, strings.Replace(versioned(dir, 2), "verify: none", "verfy: none", 1))
	_, err := r.client.Reload(t.Context())
	var refused *admin.Problem
	if !errors.As(err, &refused) || len(refused.Problems) == 0 || refused.Problems[0].Line != 5 {
		t.Errorf("reload said %v", err)
	}
	if v := r.version(); v != "v1" {
		t.Errorf("version %s runs", v)
	}
	if s := r.status().Config; s.LastReloadOK || len(s.Problems) == 0 {
		t.Errorf("status says %+v", s)
	}
	if !strings.Contains(r.log.String(), `verfy`) {
		t.Error("the log does not name the key")
	}
}

func TestReload_AVanishedFileChangesNothing(t *testing.T) {
	dir := shortDir(t)
	path := filepath.Join(dir, "hooks.yaml")
	write(t, path, versioned(dir, 1))
	r := startIn(t, dir)
	must(t, os.Remove(path))
	r.eventually("the missing file to be reported", func() bool { return !r.status().Config.LastReloadOK })
	if v := r.version(); v != "v1" {
		t.Errorf("version %s runs", v)
	}
	write(t, path, versioned(dir, 2))
	r.eventually("the new file to arrive", func() bool { return r.version() == "v2" })
}

func TestReload_AKubernetesSymlinkSwapArrives(t *testing.T) {
	dir := shortDir(t)
	for n := 1; n <= 2; n++ {
		data := filepath.Join(dir, fmt.Sprintf("..%d", n))
		must(t, os.Mkdir(data, 0o700))
		write(t, filepath.Join(data, "hooks.yaml"), versioned(dir, n))
	}
	must(t, os.Symlink("..1", filepath.Join(dir, "..data")))
	must(t, os.Symlink("..data/hooks.yaml", filepath.Join(dir, "hooks.yaml")))
	r := startIn(t, dir)
	if v := r.version(); v != "v1" {
		t.Fatalf("version %s runs", v)
	}
	must(t, os.Symlink("..2", filepath.Join(dir, "..data_tmp")))
	must(t, os.Rename(filepath.Join(dir, "..data_tmp"), filepath.Join(dir, "..data")))
	r.eventually("the swap to arrive", func() bool { return r.version() == "v2" })
}

func TestReload_SIGHUPReadsTheFileAgain(t *testing.T) {
	dir := shortDir(t)
	secretFile := filepath.Join(dir, "word")
	write(t, secretFile, "v1")
	path := filepath.Join(dir, "hooks.yaml")
	write(t, path, strings.Replace(versioned(dir, 0), `"v0"`, `"${file:word}"`, 1))
	r := startIn(t, dir)
	if v := r.version(); v != "v1" {
		t.Fatalf("version %q runs", v)
	}
	write(t, secretFile, "v2")
	must(t, syscall.Kill(os.Getpid(), syscall.SIGHUP))
	r.eventually("the secret file's change to arrive", func() bool { return r.version() == "v2" })
}

func TestReload_WhatNeedsARestartIsNamedAndTheRestApplied(t *testing.T) {
	dir := shortDir(t)
	path := filepath.Join(dir, "hooks.yaml")
	write(t, path, versioned(dir, 1))
	r := startIn(t, dir)
	write(t, path, strings.Replace(versioned(dir, 2), "drain: 10s", "drain: 11s", 1))
	result, err := r.client.Reload(t.Context())
	must(t, err)
	if len(result.NeedsRestart) != 1 || result.NeedsRestart[0] != "server.drain" {
		t.Errorf("needs restart: %v", result.NeedsRestart)
	}
	if v := r.version(); v != "v2" {
		t.Errorf("version %s runs", v)
	}
}
