#!/bin/sh
# Opens or closes the incident $2, with the title $3. The whole alert is on standard input.
set -eu
mkdir -p incidents
case $1 in
firing) printf '%s\nopen\n' "$3" >"incidents/$2" ;;
resolved) [ -e "incidents/$2" ] && sed -i 's/^open$/closed/' "incidents/$2" ;;
esac
echo "$1: $3"
