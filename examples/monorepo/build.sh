#!/bin/sh
# Builds service $1 at commit $2. Your own steps go here.
set -eu
echo "$1 at $2" >>builds.log
