#!/bin/sh
# Stands for your own work. It takes as long as there is a file of its name in hold/, and fails
# when there is one in fail/.
echo "$1 begins" >> story.log
name=$(echo "$1" | tr ' ' -)
while [ -e "hold/$name" ]; do sleep 0.02; done
if [ -e "fail/$name" ]; then
	echo "$1 fails" >> story.log
	exit 1
fi
echo "$1 ends" >> story.log
