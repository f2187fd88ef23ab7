#!/bin/sh
# Makes commit $SHA of $REPO a release: a folder of its own under $SITE/releases, to which the link
# $SITE/current is switched in one step. A deploy that fails half-way changes nothing.
set -eu
mkdir -p "$SITE/releases"
cd "$SITE"
release=releases/$SHA
rm -rf "$release.new"
mkdir "$release.new"

# Your build goes here, into $release.new. For example:
#   git clone --quiet "https://github.com/$REPO.git" "$release.new"
#   git -C "$release.new" checkout --quiet --detach "$SHA"
#   make -C "$release.new"
echo "$REPO $SHA" >"$release.new/VERSION"

rm -rf "$release"
mv "$release.new" "$release"
ln -sfn "$release" current.new
mv -T current.new current
echo "current is $release (delivery $HOOK_DELIVERY, attempt $HOOK_ATTEMPT)"
