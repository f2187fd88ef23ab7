#!/bin/sh
# Restarts unit $1. As a user other than root, let polkit allow that one unit.
set -eu
systemctl=$(command -v systemctl || echo systemctl)
if [ -n "${DRY_RUN-}" ] || [ ! -d /run/systemd/system ]; then
	echo "would restart $1"
	exit 0
fi
"$systemctl" restart "$1"
"$systemctl" is-active "$1"
