package ui

import (
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/tenterhook/tenterhook/internal/admin"
)

// LoginLink implements admin.Pages.
func (u *UI) LoginLink(v admin.Visitor) (path string, expires time.Time) {
	key, ends := u.sessions.newLink(v)
	return "/login?link=" + key, ends
}

// loginData is what the login page shows.
type loginData struct {
	Link  string // of the URL: one press on a button uses it
	Next  string
	Error string
}

// loginPage asks for the token, or, with a link, for a press on a button: what merely loads the
// URL, such as a preview of it, must not use the link up.
func (u *UI) loginPage(w http.ResponseWriter, r *http.Request) {
	q := r.URL.Query()
	data := loginData{Link: q.Get("link"), Next: local(q.Get("next"))}
	if q.Get("kept") != "" {
		if u.sessions.of(r) != nil {
			http.Redirect(w, r, data.Next, http.StatusSeeOther)
			return
		}
		data.Error = "Your browser did not keep the login. It does so over https, and over http on localhost and 127.0.0.1 only: " +
			"put a proxy with TLS in front, or forward the port with ssh -L 9001:127.0.0.1:9001."
	}
	u.renderLogin(w, r, http.StatusOK, data)
}

// login opens a session for a link or a token.
func (u *UI) login(w http.ResponseWriter, r *http.Request) {
	data := loginData{Next: local(r.PostFormValue("next"))}
	v, refusal := u.admit(r)
	if refusal != "" {
		// A line of the log and no audit entry: it changed nothing, and guesses would push out what did.
		u.log.WarnContext(r.Context(), "login refused", "reason", refusal, "remote", r.RemoteAddr)
		data.Error = refusal
		u.renderLogin(w, r, http.StatusUnauthorized, data)
		return
	}
	u.door.Audit(r, v.Who, "login", "", "ok")
	u.sessions.begin(w, v)
	// Through the login once more: there it is seen whether the browser keeps the cookie.
	http.Redirect(w, r, "/login?kept=1&next="+queryEscape(data.Next), http.StatusSeeOther)
}

// admit says who comes with a link or a token, or why they may not enter.
func (u *UI) admit(r *http.Request) (v admin.Visitor, refusal string) {
	if key := r.PostFormValue("link"); key != "" {
		v, ok := u.sessions.redeem(key)
		if !ok {
			return admin.Visitor{}, "This link was used already or is too old. Ask for another: tenterhook ui"
		}
		v.Who += " by link"
		return v, ""
	}
	v, err := u.door.AdmitToken(r, r.PostFormValue("token"))
	if err != nil {
		return v, "Not let in: " + err.Error() + "."
	}
	return v, ""
}

func (u *UI) logout(r *http.Request, v *visit) (to, said string, err error) {
	u.sessions.end(v.w, r)
	return "/login", "", nil
}

// local is a path of ours to go on with: one that leads anywhere else becomes the first page.
func local(next string) string {
	target, err := url.Parse(next)
	if err != nil || target.Scheme != "" || target.Host != "" || !strings.HasPrefix(next, "/") ||
		strings.HasPrefix(next, "//") || strings.ContainsAny(next, "\\\r\n\t") {
		return "/"
	}
	return next
}

func queryEscape(s string) string { return url.QueryEscape(s) }
