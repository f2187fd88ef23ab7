#!/bin/sh
# Answers with TwiML.
set -eu
echo "<Response><Message>Up since $(cut -d. -f1 /proc/uptime) seconds.</Message></Response>"
