package provider

import (
	"fmt"
	"strconv"
	"time"

	"github.com/tenterhook/tenterhook/internal/job"
	"github.com/tenterhook/tenterhook/internal/request"
	"github.com/tenterhook/tenterhook/internal/verify"
)

func init() {
	register(&Preset{
		Name:  "cloudinary",
		Title: "Cloudinary",
		Doc: `X-Cld-Signature, a plain SHA-1 or SHA-256 of body, X-Cld-Timestamp and the API secret in hex; at most two hours old.
Event: notification_type. Key: the digest of the request.`,
		Setup:  `Settings → Webhook notifications: the address of the hook; API keys → API secret: the hook's secret.`,
		Source: "cloudinary.com/documentation/notifications: Verifying notification signatures. Vectors: cloudinary/cloudinary_npm.",

		Verifier:    func() verify.Verifier { return newCloudinary() },
		Event:       fromPayload("notification_type"),
		OnDuplicate: job.Skip,
		Samples: []Sample{
			{Name: "upload", Event: "upload", ContentType: contentJSON, Body: sample("cloudinary-upload.json")},
		},
		Address: address(nowhere, inField("notification_type")),
	})
}

// cloudinaryVerifier checks a plain hash, of which Cloudinary has two.
type cloudinaryVerifier struct {
	MaxAge time.Duration `yaml:"max_age" doc:"How old a delivery may be."`

	sha1, sha256 *verify.HMAC
}

const cloudinaryStamp = "X-Cld-Timestamp"

func newCloudinary() *cloudinaryVerifier {
	of := func(hash string) *verify.HMAC {
		h := verify.NewDigest()
		h.Header, h.Encoding, h.List, h.Prefix, h.Hash = []string{"X-Cld-Signature"}, "hex-lower", false, new(string), hash
		h.Signed = "{body}{header:" + cloudinaryStamp + "}{secret}"
		return h
	}
	return &cloudinaryVerifier{2 * time.Hour, of("sha1"), of("sha256")}
}

// Verify implements verify.Verifier.
func (c *cloudinaryVerifier) Verify(r *request.Request, secrets [][]byte, now time.Time) (int, error) {
	of := c.sha256
	if len(header(r, "X-Cld-Signature")) == 40 {
		of = c.sha1
	}
	secret, err := of.Verify(r, secrets, now)
	if err != nil {
		return -1, err
	}
	stamp, err := strconv.ParseInt(header(r, cloudinaryStamp), 10, 64)
	if err != nil || stamp < now.Add(-c.MaxAge).Unix() {
		return -1, fmt.Errorf("timestamp is older than %s", c.MaxAge)
	}
	return secret, nil
}

// Sign implements verify.Verifier.
func (c *cloudinaryVerifier) Sign(r *request.Request, secret []byte, now time.Time) error {
	setHeaders(r, strconv.FormatInt(now.Unix(), 10), cloudinaryStamp)
	return c.sha256.Sign(r, secret, now)
}

// Withhold implements verify.Verifier.
func (c *cloudinaryVerifier) Withhold() []string { return c.sha256.Withhold() }

// NeedsSecret implements verify.Verifier.
func (*cloudinaryVerifier) NeedsSecret() bool { return true }
