#!/bin/sh
# The script as it was: adnanh/webhook started it with these arguments.
set -eu
echo "$1 $2" >>redeploys.log
