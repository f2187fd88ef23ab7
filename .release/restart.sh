# After an upgrade: the daemon that runs ends its jobs first, and systemd holds the socket, so that
# no delivery is refused. It is left alone when the new program does not like the configuration,
# with the secrets that the running one has.
#
# They are asked for as the daemon's user: its environment is what that user makes of it, and a line
# that is no variable would be a command of env's.
graceful_restart() {
	pid=$(systemctl show -p MainPID --value tenterhook.service)
	# shellcheck disable=SC2016
	if [ "${pid:-0}" -gt 0 ] && ! xargs -0 -a "/proc/$pid/environ" sh -c 'of=$0; exec setpriv --reuid "${of%:*}" --regid "${of#*:}" --clear-groups --no-new-privs \
		env -i "$@" /usr/bin/tenterhook check -c /etc/tenterhook/hooks.yaml' "$(stat -c %u:%g "/proc/$pid")" >/dev/null; then
		echo "tenterhook: this version finds problems in /etc/tenterhook/hooks.yaml (tenterhook check)." >&2
		echo "tenterhook: the version before runs on. Mend them, then: systemctl restart tenterhook" >&2
		return 0
	fi
	systemctl try-restart tenterhook.service || true
}
