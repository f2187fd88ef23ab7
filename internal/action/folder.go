package action

import (
	"crypto/sha256"
	"encoding/hex"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"

	"github.com/tenterhook/tenterhook/internal/launch"
)

// folder is an attempt's private folder with the payload and the declared files. Every job makes
// one, which is why it is made and removed with as few calls as can be.
type folder struct {
	path  string
	files []string // what was put into it, by name
	given bool     // to another user
}

// makeDir makes the folder.
func (p *preparedCommand) makeDir() (*folder, error) {
	path, err := os.MkdirTemp(p.runFolder())
	if err != nil {
		return nil, err
	}
	dir := &folder{path: path}
	if err := p.fill(dir); err != nil {
		dir.remove()
		return nil, err
	}
	return dir, nil
}

// fill puts what the command is given into its folder.
func (p *preparedCommand) fill(dir *folder) error {
	if err := dir.put(payloadFile, p.body); err != nil {
		return err
	}
	if p.command.stdin != nil {
		if err := dir.put(stdinFile, p.stdin); err != nil {
			return err
		}
	}
	for name, content := range p.files {
		if err := dir.put(filePrefix+name, []byte(content)); err != nil {
			return err
		}
	}
	if p.command.launch.User == nil {
		return nil
	}
	// Before the folder is the user's, who could put a link in the file's place.
	input, err := p.openInput(dir.path)
	if err != nil {
		return err
	}
	p.input = input
	return dir.give(p.command.launch.User)
}

// The names of what a folder holds.
const (
	payloadFile = "payload"
	stdinFile   = "stdin"
	filePrefix  = "file-"
)

// openInput opens what the command reads. It is a file, not a pipe: a command that never reads it
// holds nobody up.
func (p *preparedCommand) openInput(dir string) (*os.File, error) {
	name := payloadFile
	if p.command.stdin != nil {
		name = stdinFile
	}
	return openPlain(filepath.Join(dir, name))
}

// runFolder is where the attempt gets its own folder. Another user cannot get into the daemon's.
func (p *preparedCommand) runFolder() (parent, pattern string) {
	if p.command.launch.User == nil {
		return p.facts.RunDir, "run-"
	}
	return os.TempDir(), sharedPrefix(p.facts.Shared)
}

// sharedPrefix begins the names of folders that a daemon's runs have beside its own.
func sharedPrefix(daemon string) string {
	sum := sha256.Sum256([]byte(daemon))
	return "tenterhook-as-" + hex.EncodeToString(sum[:6]) + "-"
}

// ClearShared removes the folders that runs of a daemon that died left beside its own.
func ClearShared(daemon string) {
	left, _ := filepath.Glob(filepath.Join(os.TempDir(), sharedPrefix(daemon)+"*")) // the pattern is a good one
	for _, dir := range left {
		removeAll(dir)
	}
}

// put makes a file that only its owner can read.
func (d *folder) put(name string, content []byte) error {
	d.files = append(d.files, name)
	return writePlain(filepath.Join(d.path, name), content)
}

// give gives the folder and its files to the user the attempt runs as.
func (d *folder) give(u *launch.User) error {
	if u.UID == os.Getuid() {
		return nil
	}
	d.given = true
	for _, name := range d.files {
		if err := os.Lchown(filepath.Join(d.path, name), u.UID, u.GID); err != nil {
			return err
		}
	}
	return os.Lchown(d.path, u.UID, u.GID)
}

// remove removes the folder. A script that added nothing costs no look at what is in it. A folder
// that was given away is another's, who may have put a link in its place: the short way follows it.
func (d *folder) remove() {
	if d.given {
		removeAll(d.path)
		return
	}
	for _, name := range d.files {
		_ = syscall.Unlink(filepath.Join(d.path, name)) // what the script made of it is removed below
	}
	if syscall.Rmdir(d.path) != nil {
		removeAll(d.path)
	}
}

// removeAll removes a run's folder, also with folders in it that the script closed. What is left
// is cleared at the next start.
func removeAll(dir string) {
	if os.RemoveAll(dir) == nil {
		return
	}
	parent, err := os.OpenRoot(filepath.Dir(dir))
	if err != nil {
		return
	}
	defer func() { _ = parent.Close() }() // nothing was written through it
	_ = fs.WalkDir(parent.FS(), filepath.Base(dir), func(path string, d fs.DirEntry, err error) error {
		if err == nil && d.IsDir() {
			_ = parent.Chmod(path, 0o700) // before it is read; it cannot lead out
		}
		return nil
	})
	_ = os.RemoveAll(dir)
}
