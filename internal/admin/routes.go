package admin

import (
	"net/http"
	"net/url"

	"github.com/tenterhook/tenterhook/internal/hook"
)

// route is one route of the API, with what the OpenAPI document says of it.
type route struct {
	method, path string
	scope        Scope
	summary      string
	query        []string // parameters it takes
	body         any      // what a request brings, nil for nothing
	answers      []reply
	handler      http.Handler
}

// reply is what a route answers when it did what was asked.
type reply struct {
	status int
	media  string // "" for no body
	value  any    // an example of its JSON; of a stream, its events
}

// The media types of answers.
const (
	mediaJSON   = "application/json"
	mediaStream = "text/event-stream"
	mediaText   = "text/plain; charset=utf-8"
	mediaBytes  = "application/octet-stream"
)

func one(status int, media string, value any) []reply { return []reply{{status, media, value}} }

func jsonOf(value any) []reply { return one(http.StatusOK, mediaJSON, value) }

// table is the whole API. Only POST changes anything.
func (a *api) table() []route {
	return append(a.reads(), a.changes()...)
}

func (a *api) reads() []route {
	read := func(path, summary string, query []string, answers []reply, serve func(http.ResponseWriter, *http.Request, url.Values)) route {
		return route{"GET", path, ScopeRead, summary, query, nil, answers, a.reading(query, serve)}
	}
	stream := func(path, summary string, query []string, events map[string]any, serve func(*stream, *http.Request, url.Values) error) route {
		return route{"GET", path, ScopeRead, summary, query, nil, one(http.StatusOK, mediaStream, events), a.streaming(query, serve)}
	}
	return []route{
		read("deliveries", "List deliveries, newest first. With match or grep a page may be short before the end: the Link header says where to go on.", deliveryFilters, jsonOf([]Delivery{}), a.deliveries),
		read("deliveries/{id}", "Show a delivery with everything but its body.", nil, jsonOf(DeliveryDetail{}), a.delivery),
		read("deliveries/{id}/body", "The body of a delivery, exactly as it arrived.", nil, one(http.StatusOK, mediaBytes, nil), a.deliveryBody),
		read("jobs", "List jobs, newest first.", jobFilters, jsonOf([]Job{}), a.jobs),
		read("jobs/{id}", "Show a job with its attempts and what followed them.", nil, jsonOf(JobDetail{}), a.job),
		read("jobs/{id}/output", "What an attempt of a job wrote, exactly; the last attempt's when none is named.", []string{"attempt"}, one(http.StatusOK, mediaText, nil), a.jobOutput),
		read("jobs/{id}/log", "The whole output of an attempt, where limits.log of the rule keeps it.", []string{"attempt"}, one(http.StatusOK, mediaText, nil), a.jobLog),
		stream("jobs/{id}/stream", "Follow a job: its states and its output, from the beginning to its end.", nil, jobStreamEvents, a.jobStream),
		read("hooks", "The hooks as configured, with nothing of their secrets but the number.", nil, jsonOf([]HookInfo{}), a.hooks),
		read("nodes", "List the daemons that share the store; with all, those that ended within a day too. Empty when the store is a file.", []string{"all"}, jsonOf([]Node{}), a.nodes),
		read("configurations", "List the versions of the configuration in the store, newest first.", nil, jsonOf([]Configuration{}), a.configurations),
		{"GET", "configurations/{version}", ScopeAdmin, "Show a version with its content; 0 is the newest.", nil, nil, jsonOf(Configuration{}), a.reading(nil, a.configuration)},
		read("status", "How the daemon is.", nil, jsonOf(Status{}), a.status),
		read("rejects", "List the latest requests that were refused, newest first.", rejectFilters, jsonOf([]Reject{}), a.rejects),
		read("audit", "List who changed what, newest first. The header Tenterhook-Audit-Anchor has the number and the hash that the oldest entry follows.", auditFilters, jsonOf([]AuditEntry{}), a.auditLog),
		read("replays", "List replays of many deliveries, newest first.", []string{"limit", "cursor"}, jsonOf([]Replay{}), a.replays),
		read("replays/{id}", "Show how far a replay is.", nil, jsonOf(Replay{}), a.showReplay),
		read("openapi.json", "This document.", nil, jsonOf(object{}), a.document),
		stream("events", "Follow everything that happens. Last-Event-ID, or after, says where to go on.", eventFilters, feedEvents, a.events),
	}
}

func (a *api) changes() []route {
	change := func(scope Scope, path, action, summary string, answers []reply, serve func(http.ResponseWriter, *http.Request) error) route {
		return route{"POST", path, scope, summary, nil, nil, answers, a.changing(action, serve)}
	}
	nothing := one(http.StatusNoContent, "", nil)
	var login []route
	if a.pages != nil {
		login = []route{change(ScopeRead, "login-links", "login link", "Make a link to the web UI that lets its reader in once, with the scope of who asks for it.", jsonOf(LoginLink{}), a.loginLink)}
	}
	return append(login, []route{
		change(ScopeRun, "jobs/{id}/retry", "retry", "Give an ended job another run of attempts.", jsonOf(Job{}), a.retry),
		change(ScopeRun, "jobs/{id}/cancel", "cancel", "End a waiting job, or ask a running one to end.", nothing, a.cancel),
		change(ScopeRun, "deliveries/{id}/replay", "replay", "Let the rules decide anew on a delivery; answers the new jobs.", jsonOf([]Job{}), a.replay(ReplayAll)),
		change(ScopeRun, "deliveries/{id}/replay/failed", "replay", "The same for rules whose last job of it ended badly.", jsonOf([]Job{}), a.replay(ReplayFailed)),
		change(ScopeRun, "deliveries/{id}/replay/missing", "replay", "The same for rules that made no job of it.", jsonOf([]Job{}), a.replay(ReplayMissing)),
		{
			"POST", "explain", ScopeRun, "Say what the hooks would do with a request or a stored delivery, and why; with match, what a rule would with another condition. Nothing is run or stored.",
			nil,
			ExplainRequest{},
			jsonOf(hook.Explanation{}), a.asking(a.explain),
		},
		{
			"POST", "replays", ScopeRun, "Let the rules decide anew on all deliveries that a filter finds, one after the other; goes on with a replay of the same filter that was not through. With dry_run, count only.",
			nil,
			ReplayRequest{},
			[]reply{{http.StatusAccepted, mediaJSON, Replay{}}, {http.StatusOK, mediaJSON, ReplayCount{}}},
			a.recorded("replay", a.startReplay),
		},
		change(ScopeRun, "replays/{id}/cancel", "cancel replay", "End a replay that runs. The same asked for again goes on with it.", jsonOf(Replay{}), a.cancelReplay),
		change(ScopeRun, "hooks/{hook}/pause", "pause", "Let a hook start nothing; what arrives is kept.", nothing, a.pausing(true)),
		change(ScopeRun, "hooks/{hook}/resume", "resume", "Let a hook start again.", nothing, a.pausing(false)),
		change(ScopeRun, "hooks/{hook}/rules/{rule}/pause", "pause", "Let a rule start nothing.", nothing, a.pausing(true)),
		change(ScopeRun, "hooks/{hook}/rules/{rule}/resume", "resume", "Let a rule start again.", nothing, a.pausing(false)),
		{
			"POST", "hooks/{hook}/catchup", ScopeRun, "Ask the sender's API for what did not arrive, and take it in. When the answer says that there is more, ask again.",
			nil,
			CatchUpRequest{},
			jsonOf(Caught{}), a.recorded("catch up", a.catchUp),
		},
		{
			"POST", "configurations", ScopeAdmin, "Check a configuration, run its tests, and make it the newest version in the store; or make an earlier version the newest again.",
			nil,
			PushRequest{},
			jsonOf(Pushed{}), a.recorded("push", a.push),
		},
		change(ScopeAdmin, "reload", "reload", "Read the configuration again.", jsonOf(Reload{}), a.reload),
	}...)
}

// feedEvents are the kinds of GET events with their data.
var feedEvents = map[string]any{
	EventDelivery: Delivery{}, EventJob: Job{}, EventReject: Reject{}, EventReload: ReloadEvent{}, EventPause: PauseEvent{},
	EventReplay: Replay{}, EventAudit: AuditEntry{}, EventMissed: Missed{},
}

// jobStreamEvents are the kinds of GET jobs/{id}/stream.
var jobStreamEvents = map[string]any{"state": Job{}, "output": OutputChunk{}, "end": Job{}}
