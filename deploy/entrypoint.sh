#!/bin/sh
# Completes TOKENWORTH_CLICKHOUSE (http://user@host...) with the password of a mounted secret, then becomes `tokenworth`. So the password
# stands in no image, no compose file and no `docker inspect`. CLICKHOUSE_PASSWORD_FILE is the name that the ClickHouse image uses too.
set -eu
if [ -n "${CLICKHOUSE_PASSWORD_FILE:-}" ]; then
  password=$(python -c 'import sys, urllib.parse; print(urllib.parse.quote(sys.stdin.read().strip(), safe=""))' <"$CLICKHOUSE_PASSWORD_FILE")
  export TOKENWORTH_CLICKHOUSE="${TOKENWORTH_CLICKHOUSE%%@*}:${password}@${TOKENWORTH_CLICKHOUSE#*@}"
fi
exec tokenworth "$@"
