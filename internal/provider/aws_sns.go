package provider

import (
	"context"
	"crypto/x509"
	"encoding/base64"
	"errors"
	"fmt"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/tenterhook/tenterhook/internal/job"
	"github.com/tenterhook/tenterhook/internal/request"
	"github.com/tenterhook/tenterhook/internal/verify"
)

func init() {
	register(&Preset{
		Name:    "aws-sns",
		Aliases: []string{"sns"},
		Title:   "Amazon SNS",
		Doc: `Signature of the body by the certificate at SigningCertURL, which is taken from Amazon's own hosts only; SHA-256
(SignatureVersion 2) or SHA-1 (1). The message may be an hour off when verify: {max_age: 1h} asks it. A secret, if
there is one, is a certificate (PEM) to use instead. verify: {confirm: true} confirms a subscription when
Amazon asks; without it the question is a delivery of the event SubscriptionConfirmation. verify: {topics: […]} says whose messages
are taken. Key: MessageId. Event: Type (Notification).`,
		Setup: `SNS → Topics → your topic → Create subscription: protocol HTTPS, endpoint the address of the hook, raw message
delivery off: raw messages carry no signature.`,
		Source: "docs.aws.amazon.com/sns: Verifying the signatures of messages. Vectors: aws/aws-sdk-ruby.",

		Verifier:    func() verify.Verifier { return newSNS() },
		Key:         fromPayload("MessageId"),
		Event:       fromPayload("Type"),
		OnDuplicate: job.Skip,
		Format:      request.FormatJSON,
		Samples: []Sample{
			{Name: "Notification", Event: "Notification", ContentType: contentJSON, Body: sample("aws-sns-Notification.json")},
		},
		Address: address(inField("MessageId"), inField("Type")),
	})
}

// snsVerifier checks a signature by a certificate of Amazon's.
type snsVerifier struct {
	MaxAge time.Duration `yaml:"max_age" doc:"How old a message may be; otherwise any."`
	Topics []string      `yaml:"topics" doc:"ARNs of the topics that are taken; otherwise any."`
	Allow  bool          `yaml:"confirm" doc:"Answer a SubscriptionConfirmation by confirming it."`
}

func newSNS() *snsVerifier { return &snsVerifier{} }

var snsHost = regexp.MustCompile(`^sns\.[a-z0-9-]{3,}\.amazonaws\.com(\.cn)?$`)

// snsSource reports whether Amazon publishes certificates at an address.
func snsSource(u *url.URL) bool {
	return u.Scheme == "https" && u.User == nil && snsHost.MatchString(u.Host) && strings.HasSuffix(u.Path, ".pem") && u.RawQuery == ""
}

// Verify implements verify.Verifier.
func (s *snsVerifier) Verify(r *request.Request, secrets [][]byte, now time.Time) (int, error) {
	message, err := request.Decode(request.FormatJSON, "", r.Body)
	if err != nil {
		return -1, errors.New("the body is no message; raw message delivery carries no signature")
	}
	hash, ok := map[string]x509.SignatureAlgorithm{"1": x509.SHA1WithRSA, "2": x509.SHA256WithRSA}[text(message, "SignatureVersion")]
	signature, err := base64.StdEncoding.DecodeString(text(message, "Signature"))
	if !ok || err != nil || len(signature) == 0 {
		return -1, errors.New("the message has no signature of version 1 or 2")
	}
	address, err := url.Parse(first(message, "SigningCertURL", "SigningCertUrl"))
	if err != nil || !snsSource(address) {
		return -1, errors.New("the certificate's address is not Amazon's")
	}
	signed, err := snsSigned(message)
	if err != nil {
		return -1, err
	}
	match, err := verify.SignedByCertificate(address.String(), secrets, hash, signed, signature, now)
	if err != nil {
		return -1, err
	}
	return match, s.check(message, now)
}

// Confirm implements verify.Confirmer: a subscription is confirmed by getting an address that only
// Amazon can have signed, and that is checked to be Amazon's all the same.
func (s *snsVerifier) Confirm(ctx context.Context, r *request.Request) (bool, error) {
	message, err := request.Decode(request.FormatJSON, "", r.Body)
	if err != nil || !s.Allow || text(message, "Type") != "SubscriptionConfirmation" {
		return false, nil
	}
	address, err := url.Parse(text(message, "SubscribeURL"))
	if err != nil || address.Scheme != "https" || address.User != nil || !snsHost.MatchString(address.Host) || address.Query().Get("Action") != "ConfirmSubscription" {
		return false, errors.New("the address that confirms the subscription is not Amazon's")
	}
	_, err = verify.Fetch(ctx, address.String())
	return err == nil, err
}

func (s *snsVerifier) check(message any, now time.Time) error {
	if len(s.Topics) > 0 && !slices.Contains(s.Topics, text(message, "TopicArn")) {
		return errors.New("the message is of another topic")
	}
	if s.MaxAge > 0 {
		at, err := time.Parse(time.RFC3339, text(message, "Timestamp"))
		if err != nil || now.Sub(at).Abs() > s.MaxAge {
			return fmt.Errorf("the message is older than %s", s.MaxAge)
		}
	}
	return nil
}

// snsSigned is what is signed of a message: some of its members, by name.
func snsSigned(message any) ([]byte, error) {
	names := []string{"Message", "MessageId", "SubscribeURL", "Timestamp", "Token", "TopicArn", "Type"}
	switch text(message, "Type") {
	case "Notification":
		names = []string{"Message", "MessageId", "Subject", "Timestamp", "TopicArn", "Type"}
	case "SubscriptionConfirmation", "UnsubscribeConfirmation":
	default:
		return nil, errors.New("the message is of an unknown type")
	}
	var out strings.Builder
	for _, name := range names {
		value, there := at(message, name).(string)
		if !there && name == "Subject" {
			continue
		}
		out.WriteString(name + "\n" + value + "\n")
	}
	return []byte(out.String()), nil
}

// Sign implements verify.Verifier.
func (*snsVerifier) Sign(*request.Request, []byte, time.Time) error {
	return verify.OnlySender("only Amazon can sign its messages")
}

// Withhold implements verify.Verifier: what signs is in the body.
func (*snsVerifier) Withhold() []string { return nil }

// NeedsSecret implements verify.Verifier.
func (*snsVerifier) NeedsSecret() bool { return false }

// TakesSecret says that a certificate may be configured instead of fetched.
func (*snsVerifier) TakesSecret() bool { return true }

// CheckSecret implements verify.SecretChecker.
func (*snsVerifier) CheckSecret(secret []byte) error { return verify.CheckCertificate(secret) }
