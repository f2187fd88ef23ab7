package cli

import (
	"context"
	"database/sql"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/tenterhook/tenterhook/internal/admin"
	"github.com/tenterhook/tenterhook/internal/config"
	"github.com/tenterhook/tenterhook/internal/daemon"
	"github.com/tenterhook/tenterhook/internal/hook"
	"github.com/tenterhook/tenterhook/internal/job"
	"github.com/tenterhook/tenterhook/internal/pull/pulltest"
	"github.com/tenterhook/tenterhook/internal/sender/sendertest"
	"github.com/tenterhook/tenterhook/internal/store"
	"github.com/tenterhook/tenterhook/internal/store/sqlite"
)

// The transcripts in testdata/script run the whole program as a process. Some commands are theirs:
//
//   - "fill FILE" makes a store with one delivery and its two jobs, "daemon FILE SOCKET" serves such a
//     store on a unix socket until the script ends, "tamper FILE" changes an entry of a store's audit log.
//   - "provider NAME VARIABLE" serves a provider's API until the script ends, at the address in the variable;
//     "sent VARIABLE URL EVENT N AGO" lets it have sent N deliveries to that address so long ago, of which
//     nobody answered any. "channel KIND VARIABLE" serves a smee or gosmee channel.
//   - These wait: "waitfor FILE" for a file, or for somebody to listen on a socket (a daemon does before it has done
//     all of its start), "waitready" for the first daemon on a store to have done all of its start, "waitline FILE TEXT" for a
//     text in a file, "waitjob STATE" for a job in that state, "waitjobs N STATE" for so many, "waitreplay
//     STATUS" for a replay that has begun, "waitreport STATE" for the sender to be told of the newest job,
//     whose id is $JOB then, "waitstreams N" for so many event streams, "waitlisteners VARIABLE N" for so
//     many that listen to a channel.
func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir: filepath.Join("testdata", "script"),
		Setup: func(env *testscript.Env) error {
			env.Setenv("TZ", "UTC")
			return nil
		},
		Cmds: scriptCommands(),
	})
}

// scriptCommands are the commands of the transcripts.
func scriptCommands() map[string]func(ts *testscript.TestScript, neg bool, args []string) {
	var providers sync.Map // by URL, channels too
	return map[string]func(ts *testscript.TestScript, neg bool, args []string){
		"fill": func(ts *testscript.TestScript, _ bool, args []string) {
			s := openFilled(ts, args[0])
			ts.Check(s.Close())
		},
		"daemon": func(ts *testscript.TestScript, _ bool, args []string) {
			serve(ts, openFilled(ts, args[0]), "unix:"+ts.MkAbs(args[1]))
		},
		"waitfor": func(ts *testscript.TestScript, _ bool, args []string) {
			poll(ts, args[0], func() bool {
				info, err := os.Stat(ts.MkAbs(args[0]))
				if err != nil || info.Mode().Type() != fs.ModeSocket {
					return err == nil
				}
				c, err := net.Dial("unix", ts.MkAbs(args[0])) // it is there a moment before anybody listens
				if err == nil {
					err = c.Close()
				}
				return err == nil
			})
		},
		"waitready": func(ts *testscript.TestScript, _ bool, _ []string) {
			poll(ts, "the daemon to have started", func() bool { // the last thing it does is to keep its configuration
				kept, err := filepath.Glob(ts.MkAbs("*.last-good"))
				ts.Check(err)
				return len(kept) > 0
			})
		},
		"waitjob": func(ts *testscript.TestScript, _ bool, args []string) { waitJobs(ts, 1, args[0]) },
		"waitjobs": func(ts *testscript.TestScript, _ bool, args []string) {
			n, err := strconv.Atoi(args[0])
			ts.Check(err)
			waitJobs(ts, n, args[1])
		},
		"waitreplay": func(ts *testscript.TestScript, _ bool, args []string) {
			waitFor(ts, "a replay to be "+args[0], func(ctx context.Context, client *admin.Client) bool {
				list, err := client.Replays(ctx)
				ts.Check(err)
				return len(list) > 0 && string(list[0].Status) == args[0] && list[0].Done > 0
			})
		},
		"waitstreams": func(ts *testscript.TestScript, _ bool, args []string) {
			waitFor(ts, args[0]+" event streams", func(ctx context.Context, client *admin.Client) bool {
				status, err := client.Status(ctx)
				ts.Check(err)
				return strconv.Itoa(status.Streams) == args[0]
			})
		},
		"waitline": func(ts *testscript.TestScript, _ bool, args []string) {
			poll(ts, args[1], func() bool {
				text, err := os.ReadFile(ts.MkAbs(args[0]))
				return err == nil && strings.Contains(string(text), args[1])
			})
		},
		"provider": func(ts *testscript.TestScript, _ bool, args []string) {
			starts := map[string]func() *sendertest.Server{"github": sendertest.GitHub, "gitlab": sendertest.GitLab, "gitea": sendertest.Gitea, "stripe": sendertest.Stripe}
			server := starts[args[0]]()
			ts.Defer(server.Close)
			ts.Setenv(args[1], server.URL)
			providers.Store(server.URL, server)
			if args[0] == "github" { // and an App there
				server.SetApp(sendertest.Hook{ID: 1000, Events: []string{"push", "release"}})
				ts.Check(os.WriteFile(ts.MkAbs("app.pem"), sendertest.AppKey(), 0o600))
			}
		},
		"channel": func(ts *testscript.TestScript, _ bool, args []string) {
			server := pulltest.New(args[0] == "gosmee")
			ts.Defer(server.Close)
			ts.Setenv(args[1], server.ChannelURL())
			providers.Store(server.ChannelURL(), server)
		},
		"waitlisteners": func(ts *testscript.TestScript, _ bool, args []string) {
			found, _ := providers.Load(ts.Getenv(args[0]))
			poll(ts, args[1]+" listeners", func() bool { return strconv.Itoa(found.(*pulltest.Server).Listeners()) == args[1] })
		},
		"waitreport": func(ts *testscript.TestScript, _ bool, args []string) {
			waitFor(ts, "the sender to be told "+args[0], func(ctx context.Context, client *admin.Client) bool {
				jobs, _, err := client.Jobs(ctx, store.Filter{Limit: 1})
				ts.Check(err)
				if len(jobs) == 0 {
					return false
				}
				j, err := client.Job(ctx, jobs[0].ID)
				ts.Check(err)
				ts.Setenv("JOB", j.ID)
				return len(j.Reports) > 0 && j.Reports[0].Reached == args[0]
			})
		},
		"sent": func(ts *testscript.TestScript, _ bool, args []string) {
			found, ok := providers.Load(ts.Getenv(args[0]))
			n, err := strconv.Atoi(args[3])
			ts.Check(err)
			ago, err := time.ParseDuration(args[4])
			ts.Check(err)
			if !ok {
				ts.Fatalf("no provider at %s", args[0])
			}
			server := found.(*sendertest.Server)
			for _, h := range server.Hooks() {
				for i := 0; h.URL == args[1] && i < n; i++ {
					server.Send(sendertest.Sent{Hook: h.ID, GUID: fmt.Sprintf("%s-%d-%d", args[2], h.ID, i), Event: args[2], At: time.Now().Add(-ago), Body: []byte(`{"ref":"refs/heads/main"}`)})
				}
			}
		},
		"tamper": func(ts *testscript.TestScript, _ bool, args []string) {
			db, err := sql.Open("sqlite", ts.MkAbs(args[0]))
			ts.Check(err)
			_, err = db.Exec("DROP TRIGGER audit_is_not_changed; UPDATE audit SET who = 'somebody else' WHERE n = 2")
			ts.Check(err)
			ts.Check(db.Close())
		},
	}
}

func waitJobs(ts *testscript.TestScript, n int, state string) {
	waitFor(ts, fmt.Sprintf("%d jobs to be %s", n, state), func(ctx context.Context, client *admin.Client) bool {
		jobs, _, err := client.Jobs(ctx, store.Filter{State: job.State(state), Limit: admin.MaxLimit})
		ts.Check(err)
		return len(jobs) >= n
	})
}

// waitFor waits for what the daemon at admin.sock says.
func waitFor(ts *testscript.TestScript, what string, ok func(context.Context, *admin.Client) bool) {
	client := admin.NewClient("unix:"+ts.MkAbs("admin.sock"), "")
	defer func() { ts.Check(client.Close()) }()
	poll(ts, what, func() bool { return ok(context.Background(), client) })
}

func poll(ts *testscript.TestScript, what string, ok func() bool) {
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for deadline := time.Now().Add(20 * time.Second); !ok(); <-tick.C {
		if time.Now().After(deadline) {
			ts.Fatalf("waited too long for %s", what)
		}
	}
}

// openFilled makes a store with the jobs …11, which failed, and …12, which waits.
func openFilled(ts *testscript.TestScript, file string) *sqlite.Store {
	ctx, now := context.Background(), time.Now()
	s, err := sqlite.Open(ctx, ts.MkAbs(file), sqlite.Options{})
	ts.Check(err)
	d := &job.Delivery{
		ID: id(1), Hook: "site", Key: "k1", Window: time.Hour, OnDuplicate: job.Skip, Event: "push", ReceivedAt: now.Add(-2 * time.Minute),
		Outcome: job.Accepted, Origin: "request", Method: "POST", Path: "/github", IP: "192.0.2.1",
		Header: http.Header{"Content-Type": {"application/json"}}, Withheld: []string{"X-Hub-Signature-256"},
		Body: []byte(`{"ref":"refs/heads/main"}`), Size: 25, Config: "0123456789ab",
		Verdicts: []job.RuleVerdict{{Rule: "deploy", Verdict: job.Match}, {Rule: "announce", Verdict: job.Match}},
	}
	queued := func(n int, rule string) job.Job {
		return job.Job{ID: id(n), Delivery: d.ID, Hook: d.Hook, Rule: rule, State: job.Queued, RunAt: d.ReceivedAt, CreatedAt: d.ReceivedAt}
	}
	_, err = s.Accept(ctx, d, []job.Job{queued(11, "deploy"), queued(12, "announce")})
	ts.Check(err)
	ts.Check(s.Start(ctx, store.StartMark{Job: id(11), Attempt: 1, At: now.Add(-time.Minute), Config: d.Config}))
	ts.Check(s.Finish(ctx, store.Ended{
		Job: id(11), Attempt: 1, At: now, ExitCode: exit(3), Error: "exit status 3", Output: []byte("building\nbroken\n"),
		Next: job.Failed, Reason: "exit status 3",
	}))
	return s
}

// backend is a daemon's admin backend on a store, without workers.
type backend struct{ *sqlite.Store }

func (b backend) Output(string) ([]byte, bool) { return nil, false }
func (b backend) Hooks() []admin.HookInfo      { return nil }

func (b backend) Nodes(context.Context, bool) ([]store.Node, error) { return nil, nil }
func (b backend) Status() admin.Status {
	return admin.Status{Version: "v1.2.3", PID: 7, StartedAt: admin.Time{Time: time.Now()}, Config: admin.ConfigStatus{Digest: "0123456789ab", LastReloadOK: true}, Hooks: 2}
}

func (b backend) Search(ctx context.Context, f store.Filter, s admin.Search) (admin.Found, error) {
	return daemon.Search(ctx, b, nil, f, s, admin.SearchPatience)
}

func (b backend) Retry(ctx context.Context, id string) (job.Job, error) {
	return b.Requeue(ctx, id, "retried", time.Now())
}

func (b backend) Cancel(ctx context.Context, id string) error {
	return b.Settle(ctx, store.Settle{Job: id, At: time.Now(), Next: job.Cancelled, Reason: "cancelled"})
}

func (b backend) Replay(context.Context, string, admin.ReplayOf) ([]job.Job, error) { return nil, nil }

func (b backend) Explain(context.Context, admin.ExplainRequest) (hook.Explanation, error) {
	return hook.Explanation{}, admin.ErrRefused
}

func (b backend) CountReplay(context.Context, job.ReplayFilter) (admin.ReplayCount, error) {
	return admin.ReplayCount{}, nil
}

func (b backend) StartReplay(context.Context, string, admin.ReplayRequest) (job.Replay, error) {
	return job.Replay{}, admin.ErrBusy
}

func (b backend) CancelReplay(context.Context, string) (job.Replay, error) {
	return job.Replay{}, store.ErrNotFound
}

func (b backend) CatchUp(context.Context, string, string) (admin.Caught, error) {
	return admin.Caught{}, store.ErrNotFound
}

func (b backend) Replays() []job.Replay { return nil }

func (b backend) Log(string, int) (io.ReadCloser, error) { return nil, store.ErrNotFound }

func (b backend) SetPause(context.Context, string, string, bool) error { return nil }

func (b backend) Reload(context.Context) (admin.ReloadResult, error) {
	return admin.ReloadResult{Digest: "0123456789ab", Problems: []config.Diagnostic{
		{Severity: config.Problem, Pos: config.Pos{File: "hooks.yaml", Line: 4, Col: 14}, Message: `unknown name "boddy"`, Hints: []string{`did you mean "body"?`}},
	}}, nil
}

// serve answers for s at listen until the script ends.
func serve(ts *testscript.TestScript, s *sqlite.Store, listen string) {
	l, err := admin.Listen(listen)
	ts.Check(err)
	server := admin.NewServer(admin.Handler(backend{s}, admin.Options{Listen: listen, Log: slog.New(slog.DiscardHandler)}), nil)
	done := make(chan error, 1)
	go func() { done <- server.Serve(l) }()
	ts.Defer(func() {
		_ = server.Close()
		<-done
		ts.Check(s.Close())
	})
}

func (b backend) Push(context.Context, string, admin.PushRequest) (admin.Pushed, error) {
	return admin.Pushed{}, nil
}

func (b backend) Configurations(context.Context) ([]store.Configuration, error) { return nil, nil }

func (b backend) Configuration(context.Context, int64) (store.Configuration, error) {
	return store.Configuration{}, store.ErrNotFound
}
