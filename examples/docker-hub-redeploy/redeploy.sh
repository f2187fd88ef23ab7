#!/bin/sh
# Pulls $IMAGE and starts what uses it again.
set -eu
if ! command -v docker >/dev/null; then
	echo "would pull $IMAGE and restart" | tee -a redeploys.log
	exit 0
fi
docker compose pull --quiet
docker compose up --detach --quiet-pull --remove-orphans
echo "$IMAGE runs" >>redeploys.log
