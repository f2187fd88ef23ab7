#!/bin/sh
# Builds the preview $PREVIEW of commit $SHA, or takes it away.
set -eu
mkdir -p previews
if [ "$1" = closed ]; then
	rm -rf "previews/$PREVIEW" "previews/$PREVIEW.new"
	echo "$PREVIEW is gone"
	exit 0
fi
mkdir -p "previews/$PREVIEW.new"
echo "building $SHA"
while [ -e slow ]; do sleep 0.05; done # your build, which takes its time
echo "$SHA" >"previews/$PREVIEW.new/VERSION"
rm -rf "previews/$PREVIEW"
mv "previews/$PREVIEW.new" "previews/$PREVIEW"
echo "https://$PREVIEW.preview.example.com is up"
