package action

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"regexp"
	"slices"
	"strconv"
	"time"
)

// logName is the name of a log; PruneLogs touches nothing else.
var logName = regexp.MustCompile(`^([0-9A-Za-z][0-9A-Za-z_-]{0,127})-([0-9]{1,9})\.log$`)

// keptLog is a file that PruneLogs keeps for now.
type keptLog struct {
	name string
	size int64
	at   time.Time
}

// pruneBatch is how many names of the folder are read at a time.
const pruneBatch = 1000

// PruneLogs removes the logs in dir of jobs that are not kept any more, and then those that were
// written last longest ago, until the rest takes at most so many bytes. A log that is still being
// written is kept for as long as its job is; one that the bound removes goes on without a name. It
// returns how many were removed. A folder that is not there holds no logs. An error of kept ends it,
// others are returned when the rest is done.
func PruneLogs(dir string, kept func(job string) (bool, error), most int64) (removed int, err error) {
	root, err := os.OpenRoot(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return 0, nil
	}
	if err != nil {
		return 0, fmt.Errorf("prune logs: %w", err)
	}
	defer func() { _ = root.Close() }() // nothing is written through it
	remain, removed, err := pruneGone(root, kept)
	if err != nil {
		return removed, fmt.Errorf("prune logs: %w", err)
	}
	slices.SortFunc(remain, func(a, b keptLog) int { return cmp.Or(b.at.Compare(a.at), cmp.Compare(a.name, b.name)) })
	var failed error
	var sum int64
	for _, l := range remain {
		if sum += l.size; sum <= most {
			continue
		}
		if err := root.Remove(l.name); err != nil && !errors.Is(err, fs.ErrNotExist) {
			failed = cmp.Or(failed, err)
			continue
		}
		removed++
	}
	if failed != nil {
		return removed, fmt.Errorf("prune logs: %w", failed)
	}
	return removed, nil
}

// pruneGone removes the logs of jobs that are not kept, and returns the others.
func pruneGone(root *os.Root, kept func(job string) (bool, error)) (remain []keptLog, removed int, err error) {
	folder, err := root.Open(".")
	if err != nil {
		return nil, 0, err
	}
	defer func() { _ = folder.Close() }() // it is only read
	for {
		batch, err := folder.ReadDir(pruneBatch)
		for _, entry := range batch {
			l, gone, err := logOf(entry, kept)
			switch {
			case err != nil:
				return remain, removed, err
			case gone && root.Remove(entry.Name()) == nil: // one that stays is met again
				removed++
			case l != nil:
				remain = append(remain, *l)
			}
		}
		if errors.Is(err, io.EOF) {
			return remain, removed, nil
		}
		if err != nil {
			return remain, removed, err
		}
	}
}

// logOf tells a log from anything else, and whether its job is gone.
func logOf(entry fs.DirEntry, kept func(job string) (bool, error)) (l *keptLog, gone bool, err error) {
	match := logName.FindStringSubmatch(entry.Name())
	if match == nil || !entry.Type().IsRegular() {
		return nil, false, nil
	}
	if n, err := strconv.Atoi(match[2]); err != nil || n < 1 {
		return nil, false, nil
	}
	is, err := kept(match[1])
	if err != nil || !is {
		return nil, err == nil, err
	}
	info, err := entry.Info()
	if err != nil {
		return nil, false, nil // it went meanwhile
	}
	return &keptLog{entry.Name(), info.Size(), info.ModTime()}, false, nil
}
