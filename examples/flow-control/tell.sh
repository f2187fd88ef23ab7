#!/bin/sh
# Stands for a message to your team.
echo "$1" >> story.log
