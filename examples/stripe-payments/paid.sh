#!/bin/sh
# Called once for each event id. The whole event is on standard input and in $HOOK_PAYLOAD_FILE.
# A retry after a failure has the same $EVENT: use it as the key of what you change.
set -eu
echo "event $EVENT: $AMOUNT $CURRENCY"
if [ -n "${LEDGER:-}" ]; then
	echo "$EVENT $HOOK_JOB $HOOK_ATTEMPT" >>"$LEDGER"
fi
