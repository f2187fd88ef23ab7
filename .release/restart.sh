# After an upgrade: the daemon that runs ends its jobs first, and systemd holds the socket, so that
# no delivery is refused. It is left alone when the new program does not like the configuration,
# with the secrets that the running one has.
graceful_restart() {
	pid=$(systemctl show -p MainPID --value tenterhook.service)
	if [ "${pid:-0}" -gt 0 ] && ! xargs -0 -a "/proc/$pid/environ" sh -c 'exec env -i "$@" /usr/bin/tenterhook check -c /etc/tenterhook/hooks.yaml' sh >/dev/null; then
		echo "tenterhook: this version finds problems in /etc/tenterhook/hooks.yaml (tenterhook check)." >&2
		echo "tenterhook: the version before runs on. Mend them, then: systemctl restart tenterhook" >&2
		return 0
	fi
	systemctl try-restart tenterhook.service || true
}
