#!/bin/sh
# Deploys version $2 to environment $1. Your own steps go here.
set -eu
echo "$2" >"$(dirname "$0")/$1.version"
echo "$1 is at $2"
