package doctor

import (
	"context"
	"errors"
	"io/fs"
	"time"

	"github.com/tenterhook/tenterhook/internal/store/postgres"
	"github.com/tenterhook/tenterhook/internal/store/sqlite"
)

func init() { register(check{50, "store", lookStore}) }

// The search for damage takes no longer, and retention may be so late.
const (
	searchFor   = 30 * time.Second
	retainLate  = 24 * time.Hour
	largeLog    = 512 << 20
	mostlyEmpty = 256 << 20
)

func lookStore(ctx context.Context, s *Subject, r *report) {
	path := s.file()
	ctx, cancel := context.WithTimeout(ctx, searchFor)
	defer cancel()
	if path == "" {
		lookDatabase(ctx, s, r)
		return
	}
	x, err := sqlite.Examine(ctx, path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		r.ok("%s is made at the first start", path)
		return
	case err != nil:
		r.problem("go back to a backup, or move the file away", "%s cannot be read: %v", path, err)
		return
	}
	switch {
	case x.Damage != "":
		r.problem("stop the daemon, and put a backup in its place", "%s: %s", path, x.Damage)
	case x.Unchecked:
		r.ok("no damage was found in %s, in as much as %s were enough for", path, searchFor)
	default:
		r.ok("%s is sound", path)
	}
	switch {
	case x.Schema > x.Known:
		r.problem("use the newer program again", "a newer version of this program wrote it: its schema is %d, this one knows %d", x.Schema, x.Known)
	case x.Schema < x.Known:
		r.warn("tenterhook backup FILE, then tenterhook serve", "its schema is %d; the next start brings it to %d", x.Schema, x.Known)
	default:
		r.ok("its schema is %d, the newest", x.Schema)
	}
	lookRetention(s, x, r)
}

// lookDatabase connects. What else there is to know of a database, its own tools say.
func lookDatabase(ctx context.Context, s *Subject, r *report) {
	if !s.usable() {
		return
	}
	durable, err := postgres.Examine(ctx, s.Config.Settings.StoreAt())
	if err != nil {
		r.problem("look at store.url, and whether the database runs", "%s cannot be the store: %v", s.Config.Settings.Store, err)
		return
	}
	r.ok("%s: %s", s.Config.Settings.Store, durable)
}

func lookRetention(s *Subject, x sqlite.Examination, r *report) {
	keep := s.Config.Settings.Retention
	late := !x.Oldest.IsZero() && keep.For > 0 && s.Now.Sub(x.Oldest) > keep.For+retainLate
	switch {
	case late && !s.Running:
		r.warn("tenterhook serve", "the oldest delivery is %d days old, retention is %d: the daemon takes it away when it runs", days(s.Now.Sub(x.Oldest)), days(keep.For))
	case keep.Deliveries > 0 && x.Deliveries > int64(keep.Deliveries)*11/10+1000:
		r.warn("tenterhook status", "it holds %d deliveries, more than the %d of store.retention", x.Deliveries, keep.Deliveries)
	default:
		r.ok("it holds %d deliveries and %d jobs (%d not ended) in %s", x.Deliveries, x.Jobs, x.Live, size(uint64(x.Bytes)))
	}
	if x.Log > largeLog {
		r.warn("end what reads it for hours", "its log has grown to %s: something has been reading it for a long time", size(uint64(x.Log)))
	}
	if x.Free > mostlyEmpty && x.Free > x.Bytes/2 {
		r.warn("stop the daemon; sqlite3 "+s.file()+" VACUUM", "%s of its %s hold nothing any more", size(uint64(x.Free)), size(uint64(x.Bytes)))
	}
}

func days(d time.Duration) int { return int(d / (24 * time.Hour)) }
