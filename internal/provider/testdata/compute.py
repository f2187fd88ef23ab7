#!/usr/bin/env python3
"""Computes the vectors of computed.json: three for each preset whose sender publishes none.

It is an implementation of its own, from the construction each sender documents (the Source of the
preset says where), with Python's standard library and the openssl program, and it shares nothing
with the code it tests. Run it in this folder: python3 compute.py > computed.json
"""
import base64, hashlib, hmac, json, subprocess, tempfile, email.utils

T = 1700000000
KEY = "a-secret-of-enough-bytes"
BODY = '{"id":"1","type":"a","n":1}'
FORM = "B=2&A=1+2&A=1+2&A=0"
URL = "https://hooks.example.com/path?q=1"


def mac(message, key=KEY, h="sha256"):
    return hmac.new(key if isinstance(key, bytes) else key.encode(), message.encode(), h)


def hexmac(message, key=KEY, h="sha256"):
    return mac(message, key, h).hexdigest()


def b64mac(message, key=KEY, h="sha256"):
    return base64.b64encode(mac(message, key, h).digest()).decode()


def b64url(raw):
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def jwt(claims, key=KEY):
    head = b64url(b'{"alg":"HS256","typ":"JWT"}') + "." + b64url(json.dumps(claims).encode())
    return head + "." + b64url(mac(head, key).digest())


def basic(key):
    return "Basic " + base64.b64encode(("tenterhook:" + key).encode()).decode()


RFC = "2023-11-14T22:13:20Z"  # T
HTTP = email.utils.formatdate(T, usegmt=True)

# preset: (headers for a key and body, the time to verify at, other body, url)
HEADERS = {
    "gitlab": lambda k, b: {"X-Gitlab-Token": k},
    "azure-devops": lambda k, b: {"Authorization": basic(k)},
    "postmark": lambda k, b: {"Authorization": basic(k)},
    "bitrise": lambda k, b: {"Bitrise-Hook-Signature": "sha256=" + hexmac(b, k)},
    "buildkite": lambda k, b: {"X-Buildkite-Signature": f"timestamp={T},signature=" + hexmac(f"{T}.{b}", k)},
    "harbor": lambda k, b: {"Authorization": k},
    "jfrog": lambda k, b: {"X-JFrog-Event-Auth": hexmac(b, k)},
    "grafana": lambda k, b: {"X-Grafana-Alerting-Signature": hexmac(b, k)},
    "alertmanager": lambda k, b: {"Authorization": "Bearer " + k},
    "terraform": lambda k, b: {"X-TFE-Notification-Signature": hexmac(b, k, "sha512")},
    "terraform-run-task": lambda k, b: {"X-Tfc-Task-Signature": hexmac(b, k, "sha512")},
    "vercel": lambda k, b: {"x-vercel-signature": hexmac(b, k, "sha1")},
    "netlify": lambda k, b: {"X-Webhook-Signature": jwt({"iss": "netlify", "sha256": hashlib.sha256(b.encode()).hexdigest()}, k)},
    "heroku": lambda k, b: {"Heroku-Webhook-Hmac-SHA256": b64mac(b, k)},
    "cloudflare": lambda k, b: {"cf-webhook-auth": k},
    "cloudflare-stream": lambda k, b: {"Webhook-Signature": f"time={T},sig1=" + hexmac(f"{T}.{b}", k)},
    "sentry": lambda k, b: {"Sentry-Hook-Signature": hexmac(b, k)},
    "lemonsqueezy": lambda k, b: {"X-Signature": hexmac(b, k)},
    "coinbase-cdp": lambda k, b: {"X-Hook0-Signature": f"t={T},v0=" + hexmac(f"{T}.{b}", k) + ",h=x,v1=00"},
    "xero": lambda k, b: {"x-xero-signature": b64mac(b, k)},
    "woocommerce": lambda k, b: {"X-WC-Webhook-Signature": b64mac(b, k)},
    "paystack": lambda k, b: {"x-paystack-signature": hexmac(b, k, "sha512")},
    "patreon": lambda k, b: {"X-Patreon-Signature": hexmac(b, k, "md5")},
    "klaviyo": lambda k, b: {"Klaviyo-Timestamp": HTTP, "Klaviyo-Signature": hexmac(b + HTTP, k)},
    "zoom": lambda k, b: {"x-zm-request-timestamp": str(T), "x-zm-signature": "v0=" + hexmac(f"v0:{T}:{b}", k)},
    "meta": lambda k, b: {"X-Hub-Signature-256": "sha256=" + hexmac(b, k)},
    "telegram": lambda k, b: {"X-Telegram-Bot-Api-Secret-Token": k},
    "ably": lambda k, b: {"X-Ably-Key": "a", "X-Ably-Signature": b64mac(b, k)},
    "twitch": lambda k, b: {"Twitch-Eventsub-Message-Id": "m", "Twitch-Eventsub-Message-Timestamp": RFC,
                            "Twitch-Eventsub-Message-Signature": "sha256=" + hexmac("m" + RFC + b, k)},
    "intercom": lambda k, b: {"X-Hub-Signature": "sha1=" + hexmac(b, k, "sha1")},
    "zendesk": lambda k, b: {"X-Zendesk-Webhook-Signature-Timestamp": RFC, "X-Zendesk-Webhook-Signature": b64mac(RFC + b, k)},
    "docusign": lambda k, b: {"X-DocuSign-Signature-1": b64mac(b, "another key"), "X-DocuSign-Signature-2": b64mac(b, k)},
    "typeform": lambda k, b: {"Typeform-Signature": "sha256=" + b64mac(b, k)},
    "calendly": lambda k, b: {"Calendly-Webhook-Signature": f"t={T},v1=" + hexmac(f"{T}.{b}", k)},
    "asana": lambda k, b: {"X-Hook-Signature": hexmac(b, k)},
    "trello": lambda k, b: {"X-Trello-Webhook": b64mac(b + URL, k, "sha1")},
    "airtable": lambda k, b: {"X-Airtable-Content-MAC": "hmac-sha256=" + hexmac(b, base64.b64decode(k))},
    "workos": lambda k, b: {"WorkOS-Signature": f"t={T}000, v1=" + hexmac(f"{T}000.{b}", k)},
    "contentful": lambda k, b: {"x-contentful-timestamp": f"{T}000", "x-contentful-signed-headers": "x-contentful-signed-headers,x-contentful-timestamp",
                                "x-contentful-signature": hexmac("\n".join(["POST", "/path?q=1",
                                    f"x-contentful-signed-headers:x-contentful-signed-headers,x-contentful-timestamp;x-contentful-timestamp:{T}000", b]), k)},
    "bitbucket-server": lambda k, b: {"X-Hub-Signature": "sha256=" + hexmac(b, k)},
    "jira": lambda k, b: {"X-Hub-Signature": "sha256=" + hexmac(b, k)},
    "gogs": lambda k, b: {"X-Gogs-Signature": hexmac(b, k)},
    "mollie": lambda k, b: {"X-Mollie-Signature": "sha256=" + hexmac(b, k)},
    "onfido": lambda k, b: {"X-SHA2-Signature": hexmac(b, k)},
    "razorpay": lambda k, b: {"X-Razorpay-Signature": hexmac(b, k)},
    "scalr": lambda k, b: {"Date": HTTP, "X-Signature": hexmac(b + HTTP, k, "sha1")},
    "circleci": lambda k, b: {"circleci-signature": "v1=" + hexmac(b, k)},
    "coinbase-commerce": lambda k, b: {"X-CC-Webhook-Signature": hexmac(b, k)},
    "cloudinary": lambda k, b: {"X-Cld-Timestamp": str(T), "X-Cld-Signature": hashlib.sha1((b + str(T) + k).encode()).hexdigest()},
    "gitea": lambda k, b: {"X-Gitea-Signature": hexmac(b, k)},
    "line": lambda k, b: {"X-Line-Signature": b64mac(b, k)},
    "notion": lambda k, b: {"X-Notion-Signature": "sha256=" + hexmac(b, k)},
    "pusher": lambda k, b: {"X-Pusher-Key": "a", "X-Pusher-Signature": hexmac(b, k)},
    "shopify": lambda k, b: {"X-Shopify-Hmac-Sha256": b64mac(b, k)},
    "easypost": lambda k, b: {"X-Hmac-Signature": "hmac-sha256-hex=" + hexmac(b, k)},
    "bigcommerce": lambda k, b: {"webhook-id": "m", "webhook-timestamp": str(T), "webhook-signature": "v1," + b64mac(f"m.{T}.{b}", base64.b64decode(k))},
    "dropbox": lambda k, b: {"X-Dropbox-Signature": hexmac(b, k)},
    "launchdarkly": lambda k, b: {"X-LD-Signature": hexmac(b, k)},
    "mandrill": lambda k, b: {"Content-Type": "application/x-www-form-urlencoded", "X-Mandrill-Signature": b64mac(URL + "A0A1 2B2", k, "sha1")},
}
# What a preset that is not signed by the body leaves out: a changed body is none of its vectors.
UNSIGNED = {"gitlab", "azure-devops", "postmark", "harbor", "alertmanager", "cloudflare", "telegram"}
KEYS = {p: base64.b64encode(b"a-secret-of-enough-bytes").decode() for p in ("airtable", "bigcommerce")}


def mailgun(k):
    return '{"signature":{"timestamp":"%d","token":"t","signature":"%s"},"event-data":{"event":"delivered"}}' % (T, hexmac(f"{T}t", k))


def graph(k):
    return json.dumps({"value": [{"clientState": k}, {"clientState": k}]})


def ed25519(message):
    """Signs with a fresh key, and returns the public key's 32 bytes and the signature."""
    with tempfile.TemporaryDirectory() as d:
        subprocess.run(["openssl", "genpkey", "-algorithm", "ed25519", "-out", d + "/k"], check=True, capture_output=True)
        der = subprocess.run(["openssl", "pkey", "-in", d + "/k", "-pubout", "-outform", "DER"], check=True, capture_output=True).stdout
        open(d + "/m", "wb").write(message.encode())
        sig = subprocess.run(["openssl", "pkeyutl", "-sign", "-inkey", d + "/k", "-rawin", "-in", d + "/m"], check=True, capture_output=True).stdout
    return der[-32:], sig


def main():
    out = []

    def add(provider, name, secret, headers, body, valid, why, url=None):
        v = dict(provider=provider, scheme=provider, name=name, secret=secret, method="POST", headers=headers, body=body, now=T, valid=valid, why=why,
                 source="the construction the sender documents", signature_origin="computed")
        if url:
            v["url"] = url
        out.append(v)

    for p, make in HEADERS.items():
        k = KEYS.get(p, KEY)
        b = FORM if p == "mandrill" else BODY
        add(p, "valid", k, make(k, b), b, True, "valid", URL)
        other = base64.b64encode(b"another secret").decode()
        add(p, "other-secret", k, make(other, b) if p != "mandrill" else {**make(k, b), "X-Mandrill-Signature": b64mac(URL + "A0A1 2B2", other, "sha1")}, b, False, "made with another secret", URL)
        if p in UNSIGNED:
            add(p, "nothing", k, {}, b, False, "nothing was sent", URL)
        else:
            add(p, "other-body", k, make(k, b), b.replace("1", "3"), False, "the body was changed", URL)
    for name, body, valid in [("valid", mailgun(KEY), True), ("other-secret", mailgun("another secret"), False), ("other-token", mailgun(KEY).replace('"token":"t"', '"token":"u"'), False)]:
        add("mailgun", name, KEY, {"Content-Type": "application/json"}, body, valid, name)
    for name, body, valid in [("valid", graph(KEY), True), ("other-secret", graph("another secret"), False), ("one-of-two", graph(KEY).replace(KEY, "x", 1), False)]:
        add("microsoft-graph", name, KEY, {"Content-Type": "application/json"}, body, valid, name)
    event = '{"event":{"event_type":"account_confirmed","event_time":"%d","event_hash":"%s"}}'
    for name, key, valid in [("valid", KEY, True), ("other-secret", "another secret", False)]:
        add("dropbox-sign", name, KEY, {"Content-Type": "application/json"}, event % (T, hexmac(f"{T}account_confirmed", key)), valid, name)
    body = '{"type":"Issue","webhookTimestamp":%d}' % (T * 1000)
    for name, key, b, valid in [("valid", KEY, body, True), ("other-secret", "another secret", body, False), ("old", KEY, body.replace("17", "16"), False)]:
        add("linear", name, KEY, {"Linear-Signature": hexmac(b, key)}, b, valid, name)
    public, sig = ed25519(f"{T}{BODY}")
    add("discord", "valid", public.hex(), {"X-Signature-Ed25519": sig.hex(), "X-Signature-Timestamp": str(T)}, BODY, True, "valid")
    add("discord", "other-body", public.hex(), {"X-Signature-Ed25519": sig.hex(), "X-Signature-Timestamp": str(T)}, BODY + " ", False, "the body was changed")
    add("discord", "other-time", public.hex(), {"X-Signature-Ed25519": sig.hex(), "X-Signature-Timestamp": str(T + 1)}, BODY, False, "the time was changed")
    public, sig = ed25519(f"{T}|{BODY}")
    pub, sig = base64.b64encode(public).decode(), base64.b64encode(sig).decode()
    add("telnyx", "valid", pub, {"telnyx-signature-ed25519": sig, "telnyx-timestamp": str(T)}, BODY, True, "valid")
    add("telnyx", "other-body", pub, {"telnyx-signature-ed25519": sig, "telnyx-timestamp": str(T)}, BODY + " ", False, "the body was changed")
    add("telnyx", "other-time", pub, {"telnyx-signature-ed25519": sig, "telnyx-timestamp": str(T + 1)}, BODY, False, "the time was changed")
    print(json.dumps({"about": "Computed by compute.py, an implementation of its own.", "vectors": out}, indent=1))


main()
