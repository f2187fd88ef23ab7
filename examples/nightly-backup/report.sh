#!/bin/sh
# The last line of your backup's script, on the machine that is backed up: report.sh true 123456
set -eu
: "${BACKUP_TOKEN:?}" "${HOOK_URL:=http://127.0.0.1:9000/backup}"
curl --fail --silent --show-error --retry 5 -H "Authorization: Bearer $BACKUP_TOKEN" -H 'Content-Type: application/json' \
	--data "{\"host\":\"$(hostname)\",\"ok\":$1,\"bytes\":$2,\"at\":\"$(date -u +%FT%TZ)\"}" "$HOOK_URL"
