# A secret for the hook that is there to try, on this machine alone.
if [ ! -e /etc/tenterhook/secrets/hello ]; then
	(umask 077 && head -c 32 /dev/urandom | od -An -tx1 | tr -d ' \n' >/etc/tenterhook/secrets/hello)
	chown tenterhook:tenterhook /etc/tenterhook/secrets/hello
	chmod 0400 /etc/tenterhook/secrets/hello
fi
