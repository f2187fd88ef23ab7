#!/bin/sh
# Deploys commit $SHA of $REPO. Replace the body with your own; what is printed is kept with the job.
set -eu
echo "deploying $REPO at $SHA (delivery $HOOK_DELIVERY, attempt $HOOK_ATTEMPT)"
if [ -n "${RELEASES:-}" ]; then # for trying it out: leave a mark per deploy
	echo "$HOOK_JOB $HOOK_ATTEMPT $SHA" >>"$RELEASES"
fi
