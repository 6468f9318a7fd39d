#!/usr/bin/env bash
# Rows of the measurements (stdin) → a table. A goal that is missed is said, and is no error.
set -euo pipefail
awk -F'\t' '
  function judge(value, goal,   parts) {
    if (goal == "-") return ""
    split(goal, parts, " ")
    if (parts[1] == ">=") return value + 0 >= parts[2] + 0 ? "ok" : "MISSED"
    return value + 0 <= parts[2] + 0 ? "ok" : "MISSED"
  }
  function row(name, ours, floor, value, goal, verdict) {
    printf "%-58s %13s %13s %8s %8s  %s\n", name, ours, floor, value, goal, verdict
    fflush()
  }
  BEGIN { row("what", "ours", "floor", "ratio", "goal", "") }
  NF == 5 { row($1, $2, $3, $3 == "" ? "" : $4, $5, judge($4, $5)); next }
  { print; fflush() }
'
