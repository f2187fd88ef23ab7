package provider

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"maps"
	"net/http"
	"slices"
	"strings"

	"github.com/tenterhook/tenterhook/internal/job"
	"github.com/tenterhook/tenterhook/internal/request"
	"github.com/tenterhook/tenterhook/internal/verify"
)

func init() {
	register(&Preset{
		Name:    "x-twitter",
		Aliases: []string{"twitter"},
		Title:   "X (Twitter)",
		Doc: `X-Twitter-Webhooks-Signature, sha256= and HMAC-SHA256 of the body in base64 by the consumer secret. The check of the
address (CRC) is answered. Event: the name of the list of events. Key: the digest of the request.`,
		Setup: `Register the address of the hook through the Account Activity API; your app's API secret key is the hook's secret.
Start the daemon first.`,
		Source: "developer.x.com: Securing webhooks. Vectors: frain-dev/convoy.",

		Verifier:    func() verify.Verifier { return base64Signature("sha256=", "X-Twitter-Webhooks-Signature") },
		Event:       twitterEvent,
		OnDuplicate: job.Skip,
		Methods:     []string{"GET"},
		Greeting:    twitterCRC,
		Samples: []Sample{
			{Name: "tweet_create_events", Event: "tweet_create_events", ContentType: contentJSON, Body: sample("x-twitter-tweet_create_events.json")},
		},
	})
}

// twitterCRC shows that the secret is known here.
func twitterCRC(r *request.Request, secrets [][]byte) *Answer {
	token := r.QueryValue("crc_token")
	if r.Method != http.MethodGet || token == "" || len(token) > maxChallenge || len(secrets) == 0 {
		return nil
	}
	mac := hmac.New(sha256.New, secrets[0])
	_, _ = mac.Write([]byte(token))
	return jsonAnswer(`{"response_token":"sha256=` + base64.StdEncoding.EncodeToString(mac.Sum(nil)) + `"}`)
}

// twitterEvent is the name of the member that lists the events.
func twitterEvent(r *request.Request) (string, error) {
	payload, err := r.Payload()
	if err != nil {
		return "", err
	}
	activity, _ := payload.(map[string]any)
	for _, name := range slices.Sorted(maps.Keys(activity)) {
		if strings.HasSuffix(name, "_events") || strings.HasSuffix(name, "_event") {
			return name, nil
		}
	}
	return "", nil
}
