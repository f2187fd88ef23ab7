#!/bin/sh
set -eu
echo "tag $2 of $1 is gone"
