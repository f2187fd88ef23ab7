#!/bin/sh
# Called once for each payment event: a line in $LEDGER. The whole event is on standard input and
# in $HOOK_PAYLOAD_FILE. An attempt that failed is repeated with the same $EVENT, so whatever you
# do here looks whether it was done already.
set -eu
if grep -q "^$EVENT," "$LEDGER" 2>/dev/null; then
	echo "$EVENT is in the ledger already"
	exit 0
fi
echo "$EVENT,$AMOUNT,$CURRENCY" >>"$LEDGER"
echo "$EVENT: $AMOUNT $CURRENCY"
