# A ledger notes what a lab or a test run makes outside of its own process, before it is made, so that whatever ends the run (a key, a signal, SIGKILL)
# nothing is left behind: the run undoes its ledger at its end, and the next run those of dead owners. Sourced, not run. The system test kit
# (test/system/kit/ledger.ts) writes the same files.
#
# One file a run in $ledgers, one line an entry, undone last to first:
#   owner PID START     who may still be using it; START is the process's start time, so that a reused PID is nobody
#   kept                stays although the owner is gone, until asked for by name
#   netns NAME          made by `ip netns add`
#   process PID START   to be ended: SIGTERM, after 5 s SIGKILL
#   file PATH           to be removed (a file, or an empty folder)
#   folder PATH         to be removed with all that is in it

ledgers=/run/tapswitch-ledgers

process_start() { sed 's/.*) //' "/proc/$1/stat" 2>/dev/null | cut -d' ' -f20; }
process_is() { [ -n "$2" ] && [ "$(process_start "$1")" = "$2" ]; }

ledger_open() {
  mkdir -p "$ledgers"
  ledger=$ledgers/$1
  printf 'owner %s %s\n' "$$" "$(process_start $$)" >"$ledger"
}
ledger_note() { printf '%s\n' "$*" >>"$ledger"; }

end_process() {
  local pid=$1 start=$2 tries
  process_is "$pid" "$start" || return 0
  kill -TERM "$pid" 2>/dev/null
  for ((tries = 0; tries < 100; tries++)); do
    process_is "$pid" "$start" || return 0
    [ "$(sed 's/.*) //' "/proc/$pid/stat" 2>/dev/null | cut -c1)" != Z ] || return 0
    sleep 0.05
  done
  kill -KILL "$pid" 2>/dev/null
}

# Undoes one ledger and removes it. True when there was one.
ledger_undo() {
  local file=$1 kind a b
  [ -e "$file" ] || return 1
  while read -r kind a b; do
    case $kind in
      netns) [ ! -e "/run/netns/$a" ] || ip netns del "$a" ;;
      process) end_process "$a" "$b" ;;
      file) if [ -d "$a" ]; then rmdir "$a" 2>/dev/null; else rm -f "$a"; fi ;;
      folder) rm -rf "$a" ;;
    esac
  done < <(tac "$file")
  rm -f "$file"
}

# Undoes the ledgers of owners that are gone. With names: just those, kept ones too.
ledger_sweep() {
  local file kind pid start
  for file in "$ledgers"/*; do
    [ -e "$file" ] || continue
    if [ $# -gt 0 ]; then
      [[ " $* " == *" ${file##*/} "* ]] || continue
    elif grep -qsx kept "$file"; then
      continue
    fi
    # Its run may have ended, and removed it, this moment.
    kind='' pid='' start=''
    { read -r kind pid start <"$file"; } 2>/dev/null || continue
    if [ "$kind" = owner ] && process_is "$pid" "$start"; then continue; fi
    ledger_undo "$file" && printf '==> removed what an earlier run left behind: %s\n' "${file##*/}"
  done
  return 0
}
