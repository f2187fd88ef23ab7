# The system user, before the files that belong to its group are unpacked.
if ! getent passwd tenterhook >/dev/null; then
	useradd --system --user-group --no-create-home --home-dir /var/lib/tenterhook --shell /usr/sbin/nologin --comment "Tenterhook" tenterhook
fi
