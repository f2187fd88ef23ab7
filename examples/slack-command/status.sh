#!/bin/sh
# Answers a command as Slack wants it; $1 is what was written behind the command.
set -eu
case $1 in
'' | all) text="$USER_NAME: everything is up" ;;
web | db) text="$USER_NAME: $1 is up" ;;
*) echo "no such service" >&2; exit 1 ;;
esac
printf '{"response_type":"in_channel","text":"%s"}\n' "$text"
