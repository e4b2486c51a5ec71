#!/bin/sh
# A private PostgreSQL for the tests: on loopback, its own port, folder and password, and gone afterwards.
#
#   tests/postgresql.sh run COMMAND...   run a command with such a server; without PostgreSQL, without one
#   tests/postgresql.sh start DIR        make a server in DIR (new or empty), start it and print its address
#   tests/postgresql.sh restart DIR      stop it as a crash would, and start it again on the same port
#   tests/postgresql.sh stop DIR         stop it; DIR can then be removed
#   tests/postgresql.sh where            print the folder of PostgreSQL's programs; fails where there are none
#
# The command and the tests find the server by CALLCOACH_TEST_POSTGRESQL (its address) and
# CALLCOACH_TEST_POSTGRESQL_DIR (its folder). PostgreSQL does not run as root: root starts it as
# the user postgres, or nobody where there is none.
set -eu
umask 077

programs() {
  for bin in "$(pg_config --bindir 2>/dev/null || true)" /usr/lib/postgresql/*/bin \
    "$(dirname "$(command -v initdb || echo /none/initdb)")"; do
    [ -x "$bin/initdb" ] && [ -x "$bin/postgres" ] && echo "$bin" && return
  done
  return 1
}

as_server() {
  if [ "$(id -u)" -ne 0 ]; then
    "$@"
  else
    runuser -u "$(id -un postgres 2>/dev/null || echo nobody)" -- "$@"
  fi
}

start() {
  dir=$1
  if [ ! -e "$dir/port" ]; then
    mkdir -p "$dir/data"
    od -An -N16 -tx1 /dev/urandom | tr -d ' \n' >"$dir/password"
    "${PYTHON:-python3}" -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])' \
      >"$dir/port"
    if [ "$(id -u)" -eq 0 ]; then
      chown -R "$(id -un postgres 2>/dev/null || echo nobody)" "$dir"
    fi
    (cd "$dir" && as_server "$bin/initdb" -D data -U callcoach -A scram-sha-256 --pwfile=password \
      -E UTF8 --locale=C >initdb.log 2>&1) || { cat "$dir/initdb.log" >&2 && exit 1; }
  fi
  options="-c listen_addresses=127.0.0.1 -c unix_socket_directories= -c fsync=off -p $(cat "$dir/port")"
  (cd "$dir" && as_server "$bin/pg_ctl" -D data -l data/log -o "$options" -w start >/dev/null) ||
    { cat "$dir/data/log" >&2 && exit 1; }
  echo "postgresql://callcoach:$(cat "$dir/password")@127.0.0.1:$(cat "$dir/port")/postgres"
}

stop() {
  (cd "$1" && as_server "$bin/pg_ctl" -D data -m immediate -w stop >/dev/null)
}

usage="usage: $0 run COMMAND... | start DIR | restart DIR | stop DIR | where"
[ $# -ge 2 ] || [ "$*" = where ] || { echo "$usage" >&2 && exit 2; }
action=$1 && shift
if ! bin=$(programs); then
  echo "PostgreSQL is not installed (on Debian or Ubuntu: apt-get install postgresql)." >&2
  [ "$action" = run ] || exit 1
  echo "Going on without it: the tests that need it are skipped." >&2
  exec "$@"
fi
case $action in
  where) echo "$bin" ;;
  start) start "$1" ;;
  restart) stop "$1" && start "$1" ;;
  stop) stop "$1" ;;
  run)
    CALLCOACH_TEST_POSTGRESQL_DIR=$(mktemp -d)
    trap 'stop "$CALLCOACH_TEST_POSTGRESQL_DIR" || true; rm -rf "$CALLCOACH_TEST_POSTGRESQL_DIR"' EXIT
    trap 'exit 130' INT TERM
    CALLCOACH_TEST_POSTGRESQL=$(start "$CALLCOACH_TEST_POSTGRESQL_DIR")
    export CALLCOACH_TEST_POSTGRESQL CALLCOACH_TEST_POSTGRESQL_DIR
    "$@"
    ;;
  *) echo "$usage" >&2 && exit 2 ;;
esac
