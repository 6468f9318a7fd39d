# shellcheck shell=bash
# Starting a component, waiting for it, and ending it by its id. Needs STATE.

# Sets the component that is being worked on: if the script dies, its log is shown.
# shellcheck disable=SC2034 # up.sh reads it
component() { COMPONENT=$1; }

# When a process started, in clock ticks since boot. An id may be used again; id and start may not.
process_start() { sed 's/.*) //' "/proc/$1/stat" 2>/dev/null | cut -d ' ' -f 20; }

# start NAME COMMAND…  in the cluster's namespace, as a session of its own.
start() {
  local name=$1
  shift
  component "$name"
  # Through exec all the way: $! is the component's own id.
  nsenter --net="$NETNS_FILE" setsid "$@" </dev/null >"$STATE/logs/$name.log" 2>&1 &
  printf '%s %s\n' "$!" "$(process_start $!)" >"$STATE/processes/$name"
  disown $! # else bash reports its end in the middle of our own words
}

# Prints the id of a component that still runs.
running() {
  local id started
  [ -f "$STATE/processes/$1" ] || return 1
  read -r id started <"$STATE/processes/$1" || return 1
  [ -n "$started" ] && [ "$(process_start "$id")" = "$started" ] || return 1
  printf '%s\n' "$id"
}

# wait_for NAME SECONDS COMMAND…  until the command succeeds; fails early when the component dies.
wait_for() {
  local name=$1 limit=$2 deadline
  shift 2
  component "$name"
  deadline=$((SECONDS + limit))
  until "$@" >/dev/null 2>&1; do
    running "$name" >/dev/null || { say "$name ended by itself"; return 1; }
    [ "$SECONDS" -lt "$deadline" ] || { say "$name was not ready within $limit s"; return 1; }
    sleep 0.1
  done
}

# Whether something in the namespace listens there.
listens() { in_ns timeout 1 bash -c "exec 3<>/dev/tcp/$1/$2" 2>/dev/null; }
