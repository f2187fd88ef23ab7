#!/bin/sh
# Answers an interaction; type 4 is a message in the channel.
set -eu
printf '{"type":4,"data":{"content":"%s: everything is up"}}\n' "$1"
