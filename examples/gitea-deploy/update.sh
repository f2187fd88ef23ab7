#!/bin/sh
# Brings public/ to the newest commit of $BRANCH at $CLONE_URL, whatever was there before.
set -eu
[ -d public/.git ] || git clone --quiet --no-checkout "$CLONE_URL" public
git -C public fetch --quiet --depth 1 origin "refs/heads/$BRANCH"
git -C public checkout --quiet --force --detach FETCH_HEAD
git -C public clean --quiet --force -d
git -C public log -1 --format='public/ is at %h: %s'
