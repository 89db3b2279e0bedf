# What a lab scenario needs: guests, the switch, traffic, expectations. Sourced by lab/*/run.
#
# lab_begin "$@" reads the options and makes sure that everything is undone at the end (scripts/ledger.sh); lab_end gives the verdict.
# PCAP=1 captures at every guest (the first 256 bytes of each frame), into ${PCAP_DIR:-/tmp/tapswitch-lab-NAME}.

. "$(dirname "${BASH_SOURCE[0]}")/../scripts/setup.sh"
. "$(dirname "${BASH_SOURCE[0]}")/../scripts/ledger.sh"

lab_usage() {
  cat <<TEXT
Usage: sudo lab/$lab/run [--keep | --down]

  --keep   leave guests and switch up at the end, and say how to enter them
  --down   take down what --keep left
PCAP=1 in the environment writes a capture for every guest.
TEXT
}

lab_begin() {
  lab=$(basename "$(dirname "$0")")
  lab_folder=$(cd "$(dirname "$0")" && pwd)
  lab_keep='' lab_done='' lab_passed=0 lab_failed=0
  local down=''
  while [ $# -gt 0 ]; do
    case $1 in
      --keep) lab_keep=1 ;;
      --down) down=1 ;;
      -h | --help) lab_usage; exit 0 ;;
      *) fail "unknown argument $1; see --help" ;;
    esac
    shift
  done
  # Before anything is made that cleaning up would miss.
  trap 'exit 130' INT
  trap 'exit 143' TERM HUP
  set_up_switch
  mkdir -p "$ledgers"
  exec 9>"$ledgers/.lock-lab-$lab"
  flock -n 9 || fail "lab $lab is being run by somebody else; wait for its end"
  ledger_sweep
  ledger_sweep "lab-$lab"
  [ -z "$down" ] || exit 0
  lab_switches=()
  export TAPSWITCH_CONTROL
  ledger=$ledgers/lab-$lab
  # A signal clears up by itself and does not leave it to `exit`: where a second one comes at once (the terminal's, then that of scripts/demo), its trap would
  # run inside of the EXIT trap, and an `exit` there ends the shell with nothing undone.
  trap lab_cleanup EXIT
  trap 'lab_cleanup 130' INT
  trap 'lab_cleanup 143' TERM HUP
  ledger_open "lab-$lab"
}

# Exits with the given status, or with that of the script. Until its signals are ignored it may be begun again from within.
lab_cleanup() {
  local status=${1:-$?}
  # Of a signal that has come but whose trap has not run yet, bash says at the next command that the trap has gone.
  { trap '' INT TERM HUP; :; } 2>/dev/null
  if [ -n "$lab_keep" ] && [ -n "$lab_done" ]; then
    ledger_note kept
  else
    ledger_undo "$ledger"
  fi
  trap - EXIT
  exit "$status"
}

in_guest() {
  local guest=$1
  shift
  ip netns exec "$lab-$guest" "$@" 9>&-
}

# Starts something in the background, to be ended with the lab. The child notes itself, so that it is never unknown.
lab_spawn() {
  (
    # In a variable: within $( ) it would be the substitution's own.
    pid=$BASHPID
    ledger_note process "$pid" "$(process_start "$pid")"
    exec setsid "$@" 9>&-
  ) &
}

lab_guest() {
  local guest
  for guest in "$@"; do
    [ ! -e "/run/netns/$lab-$guest" ] || fail "a namespace $lab-$guest is there already and not ours; remove it: ip netns del $lab-$guest"
    ledger_note netns "$lab-$guest"
    ip netns add "$lab-$guest" && ip -n "$lab-$guest" link set lo up
  done
}

tapswitch() { node "$top/dist/cli/tapswitch.js" "$@" 9>&-; }

# The control socket is named in the switch's own configuration.
control_of() { sed -n 's/^control: *//p' "$lab_folder/$1.yaml"; }
log_of() {
  local control
  control=$(control_of "$1")
  echo "${control%.ctl}.log"
}

# lab_switch [NAME]: starts the switch with the scenario's NAME.yaml (switch.yaml) and waits until it answers. Commands are for the switch that was started last;
# `on NAME` says another.
lab_switch() {
  local name=${1:-switch} log tries pid
  say "starting the switch: tapswitch run --config lab/$lab/$name.yaml"
  TAPSWITCH_CONTROL=$(control_of "$name")
  log=$(log_of "$name")
  mkdir -p "$(dirname "$TAPSWITCH_CONTROL")"
  ledger_note file "$log"
  lab_spawn node "$top/dist/cli/tapswitch.js" run --config "$lab_folder/$name.yaml" >"$log" 2>&1 </dev/null
  pid=$!
  lab_switches+=("$name")
  for ((tries = 0; tries < 500; tries++)); do
    ! grep -q '^ready: ' "$log" || return 0
    kill -0 "$pid" 2>/dev/null || break
    sleep 0.02
  done
  cat "$log" >&2
  fail 'the switch did not start; its words are above'
}

# on NAME COMMAND...: the command is about the switch of NAME.yaml.
on() {
  local control
  control=$(control_of "$1")
  shift
  TAPSWITCH_CONTROL=$control "$@"
}

# lab_address GUEST LINK ADDRESS...
lab_address() {
  local guest=$1 link=$2 address pcap
  shift 2
  for address in "$@"; do
    case $address in
      *:*) ip -n "$lab-$guest" address add "$address" dev "$link" nodad ;;
      *) ip -n "$lab-$guest" address add "$address" dev "$link" ;;
    esac
  done
  ip -n "$lab-$guest" link set "$link" up
  if [ -n "${PCAP-}" ]; then
    pcap=${PCAP_DIR:-/tmp/tapswitch-lab-$lab}
    mkdir -p "$pcap"
    lab_spawn ip netns exec "$lab-$guest" tcpdump -i "$link" -U -n -s 256 -Z root -w "$pcap/$guest-$link.pcap" >/dev/null 2>&1
    say "capturing $guest's $link to $pcap/$guest-$link.pcap"
  fi
}

# expect TEXT COMMAND...: counts and prints one expectation; a failure with the command's output.
expect() {
  local what=$1 output
  shift
  if output=$("$@" 2>&1); then
    lab_passed=$((lab_passed + 1))
    printf '  ok    %s%s\n' "$what" "${output:+: $output}"
  else
    lab_failed=$((lab_failed + 1))
    printf '  FAIL  %s\n%s\n' "$what" "$output"
  fi
}

# Prints the average time, fails unless three requests in a row were answered, each once. Not by ping's own percentage: on a busy machine it gives up on
# late answers after twice the longest round trip so far.
pings() {
  local output answered
  output=$(in_guest "$1" ping -n -c 3 -i 0.05 -w 4 "$2")
  answered=$(grep -o 'icmp_seq=[0-9]*' <<<"$output" | tr -d '\n')
  if [ "$answered" = icmp_seq=1icmp_seq=2icmp_seq=3 ] && [[ $output != *Unreachable* ]]; then
    sed -n 's|.*= [0-9.]*/\([0-9.]*\)/.*|\1 ms|p' <<<"$output"
  else
    echo "$output"
    return 1
  fi
}

pings_not() {
  local output
  output=$(in_guest "$1" ping -n -q -c 2 -i 0.2 -W 1 "$2")
  [[ $output == *' 100% packet loss'* ]] || { echo "$output"; return 1; }
}

# transfers CLIENT SERVER ADDRESS [iperf3 options]: prints the rate at the receiver.
transfers() {
  local client=$1 server=$2 address=$3 report tries
  shift 3
  [[ " $* " == *' -t '* || " $* " == *' -n '* ]] || set -- -t 2 "$@"
  lab_spawn ip netns exec "$lab-$server" iperf3 -s -1 >/dev/null 2>&1
  for ((tries = 0; tries < 100; tries++)); do
    [ -z "$(in_guest "$server" ss -Hltn 'sport = :5201')" ] || break
    sleep 0.02
  done
  report=$(in_guest "$client" iperf3 -c "$address" -J --connect-timeout 3000 "$@")
  node -e '
    const report = JSON.parse(require("fs").readFileSync(0, "utf8"))
    const sum = report.end?.sum_received ?? report.end?.sum
    if (report.error || !sum?.bytes) { console.log(report.error ?? "nothing was received"); process.exit(1) }
    const lost = report.end.sum?.lost_percent
    console.log(`${(sum.bits_per_second / 1e9).toFixed(2)} Gbit/s${lost === undefined ? "" : `, ${lost.toFixed(1)} % lost`}`)
  ' <<<"$report"
}

# verdict SRC_MAC DST_MAC: 'offloaded NIC' or 'refused CHECK' of the IPv4 flow between two addresses that has carried most.
verdict() {
  tapswitch why --json | node -e '
    const [src, dst] = process.argv.slice(1)
    const flows = JSON.parse(require("fs").readFileSync(0, "utf8"))
      .filter((f) => f.match.includes(`src=${src},dst=${dst}`) && f.match.includes("eth_type(0x0800)"))
      .sort((a, b) => b.packets - a.packets)
    const flow = flows[0]
    console.log(!flow ? "no flow" : flow.offloaded ? `offloaded ${flow.eswitch}` : `refused ${flow.reason}`)
  ' "$1" "$2"
}

verdict_is() {
  local got
  got=$(verdict "$2" "$3")
  [ "$got" = "$1" ] || { echo "expected '$1', got '$got'"; tapswitch why; return 1; }
}

# comes_true COMMAND...: within two seconds. For states that follow an event by themselves.
comes_true() {
  local deadline=$((SECONDS + 3)) output
  until output=$("$@" 2>&1); do
    [ $SECONDS -lt $deadline ] || { echo "$output"; return 1; }
  done
  [ -z "$output" ] || echo "$output"
}

# Frames that tier 2, the datapath thread, has handled so far.
datapath_frames() { tapswitch appctl --json dpif/show | node -p 'JSON.parse(require("fs").readFileSync(0, "utf8")).frames'; }

# Packets of which tier 1 was asked.
datapath_misses() { tapswitch appctl --json dpif/show | node -p 'JSON.parse(require("fs").readFileSync(0, "utf8")).misses'; }

lab_end() {
  local guest name
  echo
  if [ -n "$lab_keep" ]; then
    lab_done=1
    say 'the lab stays up'
    sed -n 's/^netns //p' "$ledger" | while read -r guest; do echo "  enter a guest:    sudo ip netns exec $guest bash"; done
    for name in "${lab_switches[@]}"; do
      echo "  see the switch:   sudo env TAPSWITCH_CONTROL=$(control_of "$name") npx tapswitch show   (flows, why, trace, ...)"
      echo "  its log:          $(log_of "$name")"
    done
    echo "  take it down:     sudo lab/$lab/run --down"
    echo
  fi
  if [ "$lab_failed" = 0 ]; then
    echo "lab $lab: PASS ($lab_passed expectations)"
  else
    [ -n "$lab_keep" ] || for name in "${lab_switches[@]}"; do sed "s/^/  $name: /" "$(log_of "$name")" | tail -n 20; done
    echo "lab $lab: FAIL ($lab_failed of $((lab_passed + lab_failed)) expectations)"
    exit 1
  fi
}
