# The course of the labs vxlan and vxlan6, which differ in the underlay alone. Sourced by their run.

# two_hypervisors LOCAL REMOTE MAC_PREFIX: tunnel addresses of hv1 and hv2; of the guests' addresses all but the last byte.
two_hypervisors() {
  local local=$1 remote=$2 mac=$3 hv
  need_debian tshark
  lab_guest hv1 hv2 a1 a2 b1 b2
  lab_fabric
  lab_switch hv1
  lab_switch hv2
  lab_cable left h1p0
  lab_cable right h2p0
  lab_address a1 vf0 10.4.10.1/24 fd04:10::1/64
  lab_address a2 vf1 10.4.20.1/24
  lab_address b1 vf0 10.4.10.2/24 fd04:10::2/64
  lab_address b2 vf1 10.4.20.2/24

  say 'the hosts themselves'
  expect 'hv1 -> hv2, ping' comes_true pings hv1 "$remote"
  expect 'hv2 -> hv1, ping' pings hv2 "$local"

  say 'guests of two hypervisors, VLAN 10 and VLAN 20'
  speaks a1 10.4.10.1 b1 10.4.10.2
  expect 'a1 -> b1, ping, IPv6' pings a1 fd04:10::2
  expect 'a2 -> b2, ping' pings a2 10.4.20.2
  expect 'b2 -> a2, ping' pings b2 10.4.20.1
  expect 'a2 -> b2, TCP' transfers a2 b2 10.4.20.2 -n 16M
  in_guest a1 ip route add 10.4.20.0/24 dev vf0
  expect 'a1 does not reach b2, in the other VLAN' pings_not a1 10.4.20.2

  say 'what the NICs do themselves'
  expect 'hv1 encapsulates a1 -> b1 in its NIC' on hv1 verdict_is 'offloaded nic0' "$mac:11" "$mac:21"
  expect 'hv2 decapsulates a1 -> b1 in its NIC' on hv2 verdict_is 'offloaded nic0' "$mac:11" "$mac:21"
  expect 'hv2 encapsulates b1 -> a1 in its NIC' on hv2 verdict_is 'offloaded nic0' "$mac:21" "$mac:11"
  expect 'hv1 decapsulates b1 -> a1 in its NIC' on hv1 verdict_is 'offloaded nic0' "$mac:21" "$mac:11"
  expect 'a1 -> b1, TCP, and the datapath threads stand still' stands_still 1000 transfers a1 b1 10.4.10.2 -n 64M

  say 'on the wire between the hypervisors'
  wire_is_right a1 b1 10.4.10.2 100 "$local"

  for hv in hv1 hv2; do
    say "what $hv says: tapswitch why"
    on "$hv" tapswitch why
  done
  say 'tunnel ports of hv1: tapswitch appctl tnl/ports/show'
  on hv1 tapswitch appctl tnl/ports/show
  say 'neighbours that hv1 sends to: tapswitch appctl tnl/neigh/show'
  on hv1 tapswitch appctl tnl/neigh/show
}
