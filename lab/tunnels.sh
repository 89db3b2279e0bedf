# What labs with tunnels need beyond lab.sh: the underlay between hypervisors, other switches as peers, streams that are counted, captures that tshark checks.
# Sourced by lab/*/run after lab.sh.

# A namespace `fabric` with two bridges, left and right, joined by a cable (wire0 in left, wire1 in right) on which frames are as on any wire: cut to size, checksums complete.
lab_fabric() {
  local mtu=${1:-1600}
  lab_guest fabric
  # Nobody but the hypervisors sends here.
  in_guest fabric sysctl -qw net.ipv6.conf.all.disable_ipv6=1 net.ipv6.conf.default.disable_ipv6=1
  ip -n "$lab-fabric" -batch - <<TEXT || fail 'the fabric could not be made'
link add left mtu $mtu type bridge mcast_snooping 0
link add right mtu $mtu type bridge mcast_snooping 0
link add wire0 mtu $mtu type veth peer name wire1 mtu $mtu
link set wire0 master left up
link set wire1 master right up
link set left up
link set right up
TEXT
  lab_wire fabric wire0
  lab_wire fabric wire1
}

# lab_wire GUEST LINK: what leaves by the link is cut and summed before it does.
lab_wire() { in_guest "$1" ethtool -K "$2" tx off tso off gso off tx-udp-segmentation off >/dev/null || fail "the offloads of $2 cannot be turned off"; }

# lab_cable SIDE LINK...: plugs uplinks into a bridge of the fabric.
lab_cable() {
  local side=$1 link
  shift
  for link in "$@"; do ip -n "$lab-fabric" link set "$link" master "$side" up; done
}

# lab_veth GUEST LINK GUEST LINK [MTU]: a cable between two namespaces.
lab_veth() {
  ip -n "$lab-$1" link add "$2" mtu "${5:-1500}" type veth peer name "$4" mtu "${5:-1500}" netns "$lab-$3" &&
    ip -n "$lab-$1" link set "$2" up && ip -n "$lab-$3" link set "$4" up
}

# lab_kernel_vtep HOST VNI LOCAL REMOTE GUEST...: the kernel's own VXLAN device in a namespace, with guests (link eth0) on a bridge behind it.
lab_kernel_vtep() {
  local host=$1 vni=$2 local=$3 remote=$4 guest
  shift 4
  ip -n "$lab-$host" -batch - <<TEXT || fail "the VXLAN device of $host could not be made"
link add br$vni type bridge mcast_snooping 0
link add vx$vni type vxlan id $vni local $local remote $remote dstport 4789
link set vx$vni master br$vni up
link set br$vni up
TEXT
  for guest in "$@"; do
    lab_veth "$host" "port-$guest" "$guest" eth0
    ip -n "$lab-$host" link set "port-$guest" master "br$vni"
  done
}

# lab_ovs HOST: Debian's Open vSwitch as a process of our own in the namespace, with a database and run folder of its own. lab_vsctl HOST ARGUMENTS...
lab_ovs() {
  local host=$1 folder=/run/tapswitch/lab-$lab-$1 tries
  export OVS_RUNDIR=$folder OVS_LOGDIR=$folder OVS_DBDIR=$folder
  ledger_note folder "$folder"
  rm -rf "$folder"
  mkdir -p "$folder"
  ovsdb-tool create "$folder/conf.db" /usr/share/openvswitch/vswitch.ovsschema
  lab_spawn ip netns exec "$lab-$host" ovsdb-server "$folder/conf.db" --remote="punix:$folder/db.sock" --unixctl="$folder/db.ctl" --no-chdir >"$folder/db.log" 2>&1 </dev/null
  for ((tries = 0; tries < 200; tries++)); do [ ! -S "$folder/db.sock" ] || break; sleep 0.02; done
  lab_vsctl "$host" --no-wait init
  lab_spawn ip netns exec "$lab-$host" ovs-vswitchd "unix:$folder/db.sock" --unixctl="$folder/switch.ctl" --no-chdir >"$folder/switch.log" 2>&1 </dev/null
}
lab_vsctl() {
  local host=$1
  shift
  ovs-vsctl --db="unix:/run/tapswitch/lab-$lab-$host/db.sock" --timeout=10 "$@" 9>&-
}

# stream_start GUEST ADDRESS GUEST ADDRESS [RATE]: numbered packets both ways at RATE a second (5,000) until stream_stop. One at a time.
stream_start() {
  local file=/run/tapswitch/lab-$lab-stream tries
  stream_end "$1" "$2" "$4" "${5:-5000}"
  stream_end "$3" "$4" "$2" "${5:-5000}"
  printf '%s\n' "${5:-5000}" "$1" "$3" >"$file"
  ledger_note file "$file"
  for ((tries = 0; tries < 500; tries++)); do
    [ "$(cat "$file-$1" "$file-$3")" != $'running\nrunning' ] || return 0
    sleep 0.02
  done
  cat "$file-$1" "$file-$3"
  return 1
}
stream_end() {
  local file=/run/tapswitch/lab-$lab-stream-$1
  ledger_note file "$file"
  ledger_note file "$file.pid"
  lab_spawn ip netns exec "$lab-$1" /usr/bin/python3 "$top/lab/paced.py" "$2" "$3" 7000 "$4" >"$file" 2>&1
  echo $! >"$file.pid"
}

# Ends the stream: prints what was sent, lost, and the longest silence, each way; fails if a packet was lost or came twice, or if
# fewer were sent than 95 % of the rate.
stream_stop() {
  local file=/run/tapswitch/lab-$lab-stream guest tries
  for guest in $(tail -n +2 "$file"); do kill -TERM "$(cat "$file-$guest.pid")"; done
  for guest in $(tail -n +2 "$file"); do
    # Its last line is its report.
    for ((tries = 0; tries < 250; tries++)); do
      ! grep -q '^{' "$file-$guest" || break
      sleep 0.02
    done
  done
  node -e '
    const { readFileSync } = require("fs")
    const [file] = process.argv.slice(1)
    const [rate, ...ends] = readFileSync(file, "utf8").trim().split("\n")
    const paced = ({ sent, elapsed }) => sent >= 0.95 * Number(rate) * elapsed
    const reports = ends.map((end) => JSON.parse(readFileSync(`${file}-${end}`, "utf8").trim().split("\n").at(-1)))
    const words = reports.map((r, i) => {
      const what = `${reports[1 - i].sent} sent in ${reports[1 - i].elapsed} s, ${r.lost} lost, longest silence ${r.longest_ms} ms`
      const worse = `${r.duplicates ? `, ${r.duplicates} twice` : ""}${r.gaps.length ? `, gaps ${JSON.stringify(r.gaps)}` : ""}`
      return `${ends[1 - i]} -> ${ends[i]} ${what}${worse}`
    })
    console.log(words.join("; "))
    process.exit(reports.every((r) => r.lost === 0 && r.duplicates === 0 && r.ended && paced(r)) ? 0 : 1)
  ' "$file"
}

# capture_start GUEST LINK: what the link receives and sends, whole; capture_stop ends it. One at a time; $lab_capture is the file.
capture_start() {
  local tries
  lab_capture=${PCAP_DIR:-/run/tapswitch}/lab-$lab-$1-$2.pcap
  [ -n "${PCAP_DIR-}" ] || ledger_note file "$lab_capture"
  ledger_note file "$lab_capture.log"
  lab_spawn ip netns exec "$lab-$1" tcpdump -i "$2" -U --immediate-mode -n -B 32768 -s 0 -Z root -w "$lab_capture" 2>"$lab_capture.log" </dev/null
  lab_capture_pid=$!
  for ((tries = 0; tries < 250; tries++)); do
    ! grep -q 'listening on' "$lab_capture.log" || return 0
    sleep 0.02
  done
  fail "tcpdump does not listen on $2 of $1"
}
capture_stop() {
  kill -INT "$lab_capture_pid"
  wait "$lab_capture_pid"
}

# wireshark FIELD...: the capture by tshark, a line a frame, of each field all occurrences with commas between, tabs between fields. Checksums are validated. The analysis
# of TCP's own course is left out: what a stack repeats is none of our faults.
#
# What runs on iperf3's port is random, and not to be guessed at.
wireshark() {
  local field fields=()
  for field in "$@"; do fields+=(-e "$field"); done
  tshark -n -r "$lab_capture" -o ip.check_checksum:TRUE -o udp.check_checksum:TRUE -o tcp.check_checksum:TRUE -o tcp.analyze_sequence_numbers:FALSE \
    -d tcp.port==5201,data -d udp.port==5201,data -T fields "${fields[@]}" 2>/dev/null 9>&-
}

# speaks A ADDRESS B ADDRESS: two guests reach each other through the tunnel, both ways, by ping, TCP and UDP.
speaks() {
  local a=$1 address_a=$2 b=$3 address_b=$4
  expect "$a -> $b, ping" pings "$a" "$address_b"
  expect "$b -> $a, ping" pings "$b" "$address_a"
  expect "$a -> $b, TCP" transfers "$a" "$b" "$address_b" -n 16M
  expect "$b -> $a, TCP" transfers "$b" "$a" "$address_a" -n 16M
  expect "$a -> $b, UDP" transfers "$a" "$b" "$address_b" -n 1M -u -b 50M -l 1400
  expect "$b -> $a, UDP" transfers "$b" "$a" "$address_a" -n 1M -u -b 50M -l 1400
}

# stands_still MOST COMMAND...: while the command runs, the datapath threads of the lab's switches handle at most so many frames. Prints the command's words.
stands_still() {
  local most=$1 name total=0 status
  local -A before
  shift
  for name in "${lab_switches[@]}"; do before[$name]=$(on "$name" datapath_frames); done
  "$@"
  status=$?
  for name in "${lab_switches[@]}"; do total=$((total + $(on "$name" datapath_frames) - ${before[$name]})); done
  echo "$total frames by the datapath"
  [ "$status" = 0 ] && [ "$total" -le "$most" ]
}

# wire_is_right A B ADDRESS_B VNI LOCAL: what two guests send each other over the wire of lab_fabric, as tshark sees it: pings, four TCP connections, UDP. LOCAL: the tunnel
# address of the hypervisor of A, whose choices (source port, Do not Fragment, checksum) are looked at; the peer makes its own. iperf3 is content when all has been handed to its
# sockets, and closes them: of 4 MB a part may never be on the wire.
wire_is_right() {
  local a=$1 b=$2 address=$3 vni=$4 frames
  local -x LOCAL=$5 ADDRESS=$3 VNI=$4
  frames=/run/tapswitch/lab-$lab-frames
  ledger_note file "$frames"
  capture_start fabric wire1
  in_guest "$a" ping -n -q -c 3 -i 0.05 -w 4 "$address" >/dev/null
  transfers "$a" "$b" "$address" -n 4M -P 4 >/dev/null
  transfers "$a" "$b" "$address" -n 100K -u -b 20M -l 1400 >/dev/null
  capture_stop
  wireshark frame.number frame.len vxlan.vni ip.addr ipv6.addr udp.srcport ip.flags.df udp.checksum _ws.malformed _ws.expert.severity _ws.expert.message >"$frames"
  # Fields hold a comma between occurrences: outer first. In columns 4 and 5 sources and destinations alternate.
  # 6291456 is the severity `warning`; that a stack resets its connection, or tells of what came twice, is such a one.
  awk -F'\t' '
    { split($3, vni, ","); split($4 == "" || ENVIRON["LOCAL"] ~ /:/ ? $5 : $4, address, ","); split($6, port, ","); split($7, df, ","); split($8, sum, ",") }
    $2 > 1614 { long[NR] }
    $9 != "" { bad[$1] = "malformed" }
    { n = split($10, severity, ","); for (i = 1; i <= n; i++) if (severity[i] >= 6291456 && $11 !~ /Connection reset|D-SACK/) bad[$1] = $11 }
    $3 == "" { next }
    index("," $4 ",", "," ENVIRON["ADDRESS"] ",") { if (vni[1] == ENVIRON["VNI"]) tunnelled++; else other_vni++ }
    address[1] == ENVIRON["LOCAL"] { ours++; if (port[1] < 32768 || port[1] > 61000) odd_port++; ports[port[1]]; if ($7 != "" && df[1] != 1) no_df++; if (sum[1] == "0x0000") no_sum++ }
    END {
      for (i in bad) print "bad", i, bad[i]
      print "long", length(long); print "tunnelled", tunnelled + 0; print "other-vni", other_vni + 0; print "ours", ours + 0
      print "ports", length(ports); print "odd-port", odd_port + 0; print "no-df", no_df + 0; print "no-sum", no_sum + 0
    }' "$frames" >"$frames.found"
  ledger_note file "$frames.found"
  expect "tshark: frames between the guests with VNI $vni" found_at_least 500 tunnelled
  expect 'tshark: and with no other VNI' found_at_most 0 other-vni
  expect 'tshark: no complaint, outer and inner checksums right' found_nothing bad
  expect 'tshark: none larger than 1600 bytes and an Ethernet header' found_at_most 0 long
  expect 'tshark: source ports vary with the inner flow' found_at_least 6 ports
  expect 'tshark: and are of 32768 to 61000' found_at_most 0 odd-port
  case $LOCAL in
    *:*) expect 'tshark: each has an outer UDP checksum' found_at_most 0 no-sum ;;
    *) expect 'tshark: Do not Fragment is set outside' found_at_most 0 no-df ;;
  esac
}
found() { sed -n "s/^$1 //p" "/run/tapswitch/lab-$lab-frames.found"; }
found_at_least() { found "$2" && [ "$(found "$2")" -ge "$1" ]; }
found_at_most() { [ "$(found "$2")" -le "$1" ] || { found "$2"; return 1; }; }
found_nothing() { [ -z "$(found "$1")" ] || { found "$1" | head -n 10; return 1; }; }
