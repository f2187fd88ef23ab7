package daemon_test

import (
	"fmt"
	"path/filepath"
	"testing"
	"time"

	"github.com/tenterhook/tenterhook/internal/series"
)

func TestSeries_BeginsWithWhatTheStoreKnows(t *testing.T) {
	dir := shortDir(t)
	write(t, filepath.Join(dir, "hooks.yaml"), header(dir)+"hooks: [{name: site, path: /x, provider: github, secret: "+secret+", match: event == 'push', run: 'exit 3'}]\n")
	r := startIn(t, dir)
	for i := range 3 {
		a := r.push("/x", fmt.Sprint("d", i), "push", "{}")
		r.job(a.json.Jobs[0])
	}
	r.push("/x", "other", "ping", "{}")
	must(t, r.stop())

	r = startIn(t, dir)
	r.eventually("the charts to have what was before", func() bool {
		s := r.daemon.Series("site", series.Spans[1])
		total := s.Total()
		return total.Accepted == 3 && total.Ignored == 1 && total.Failed == 3 && time.Since(s.Known) > 24*time.Hour
	})
	r.push("/x", "another", "ping", "{}")
	r.push("/x", "another", "ping", "{}")
	r.eventually("what is new to be counted beside it", func() bool {
		s := r.daemon.Series(series.All, series.Spans[0])
		total := s.Total()
		_, timed := total.Ack(0.5)
		return total.Ignored == 2 && total.Duplicate == 1 && timed
	})
}
