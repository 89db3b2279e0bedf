# What scripts/demo, scripts/test and scripts/provision need before they can begin. Sourced, not run.
# Each step says what it does, does nothing when there is nothing to do, and fails with one line that tells what is wrong and what to do.

top=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
readonly node_floor=20.19.0

say() { printf '==> %s\n' "$*"; }
fail() {
  printf '%s: %s\n' "$0" "$*" >&2
  exit 1
}

need_root() {
  [ "$(id -u)" = 0 ] || fail "must be root, to make network namespaces and TAP interfaces; run: sudo $0"
}

need_tun() {
  if [ ! -c /dev/net/tun ]; then
    fail "/dev/net/tun is missing; run: modprobe tun (in a container: docker run --device /dev/net/tun --cap-add NET_ADMIN --cap-add SYS_ADMIN ...)"
  fi
  # Opening is what a container without the device in its cgroup is refused.
  (exec 3<>/dev/net/tun) 2>/dev/null || fail "/dev/net/tun cannot be opened; allow the device in the container: --device /dev/net/tun"
}

need_node() {
  command -v node >/dev/null ||
    fail "Node.js >= $node_floor is not on root's PATH; install it (Debian 13: apt-get install nodejs npm), or, if your user has it: sudo env PATH=\"\$PATH\" $0"
  local have
  have=$(node -p process.versions.node)
  if [ "$(printf '%s\n' "$node_floor" "$have" | sort -V | head -n 1)" != "$node_floor" ]; then
    fail "Node.js $have at $(command -v node) is too old, >= $node_floor is needed; install a newer one, or, if your user has it: sudo env PATH=\"\$PATH\" $0"
  fi
  command -v npm >/dev/null || fail "npm is not on root's PATH (node is); install it (Debian 13: apt-get install npm)"
}

is_installed() { [ "$(dpkg-query -W -f '${db:Status-Status}' "$1" 2>/dev/null)" = installed ]; }
is_available() { [ -n "$(apt-cache policy "$1" 2>/dev/null | sed -n 's/^ *Candidate: *//p' | grep -v '(none)')" ]; }

# Installs those of the named Debian packages that are missing. A service that a package brings is not started: what we use, we start ourselves.
need_debian() {
  local missing=() package own_policy='' log status
  for package in "$@"; do is_installed "$package" || missing+=("$package"); done
  [ ${#missing[@]} -gt 0 ] || return 0
  command -v apt-get >/dev/null || fail "missing: ${missing[*]} (these are Debian's package names); install them and run again"
  say "installing Debian packages: ${missing[*]}"
  log=$(mktemp)
  if [ ! -e /usr/sbin/policy-rc.d ]; then
    own_policy=/usr/sbin/policy-rc.d
    printf '#!/bin/sh\nexit 101\n' >"$own_policy" && chmod 755 "$own_policy"
  fi
  export DEBIAN_FRONTEND=noninteractive
  status=0
  {
    apt-get install -y -q --no-install-recommends "${missing[@]}" ||
      { apt-get update -q && apt-get install -y -q --no-install-recommends "${missing[@]}"; }
  } </dev/null >"$log" 2>&1 || status=$?
  [ -z "$own_policy" ] || rm -f "$own_policy"
  if [ "$status" != 0 ]; then
    cause=$(grep -E '^(E|Err):' "$log" | tail -n 1)
    fail "apt-get install ${missing[*]} failed: ${cause:-see $log}; mend that or install them by hand, and run again"
  fi
  rm -f "$log"
}

# Runs a command as the checkout's owner, so that `sudo scripts/test` leaves no files of root in a user's tree.
as_owner() {
  local owner
  owner=$(stat -c %U "$top")
  if [ "$(id -u)" != 0 ] || [ "$owner" = root ] || [ "$owner" = UNKNOWN ] || { [ -e "$top/node_modules" ] && [ "$(stat -c %U "$top/node_modules")" = root ]; }; then
    "$@"
  else
    runuser -u "$owner" -- env "PATH=$PATH" "HOME=$(getent passwd "$owner" | cut -d: -f6)" "$@"
  fi
}

# The headers that node-gyp would otherwise fetch, when this Node brought its own.
node_headers() {
  local prefix
  prefix=$(dirname "$(dirname "$(readlink -f "$(command -v node)")")")
  [ ! -e "$prefix/include/node/node_api.h" ] || printf '%s' "$prefix"
}

# npm ci in a folder that has a lock file; skipped when the installed tree is as new as the lock.
npm_ci() {
  local folder=$1 what=$2 log nodedir
  [ "$folder/node_modules/.package-lock.json" -nt "$folder/package-lock.json" ] && return 0
  say "npm ci: $what"
  log=$(mktemp)
  nodedir=$(node_headers)
  # npm keeps the lock's time when it has nothing to do; the touch makes the next run see that.
  if ! (cd "$folder" && as_owner env ${nodedir:+npm_config_nodedir="$nodedir"} npm ci --no-audit --no-fund >"$log" 2>&1); then
    fail "npm ci in $folder failed: $(grep -m 1 -iE 'npm (error|ERR!)' "$log" || echo "see $log"); the whole log is in $log"
  fi
  touch "$folder/node_modules/.package-lock.json"
  rm -f "$log"
}

# True if `target` is missing or older than any file under the other arguments.
is_stale() {
  local target=$1
  shift
  [ ! -e "$target" ] || [ -n "$(find "$@" -type f -newer "$target" -print -quit)" ]
}

step_log() {
  local what=$1 log
  shift
  log=$(mktemp)
  if ! (cd "$top" && as_owner "$@" >"$log" 2>&1); then
    tail -n 20 "$log" >&2
    fail "$what failed; the whole log is in $log"
  fi
  rm -f "$log"
}

build_addon() {
  (cd "$top" && is_stale native/build/tapswitch.node $(find native -mindepth 1 -maxdepth 1 ! -name build) scripts/build-native) || return 0
  say 'building the addon (native/)'
  step_log 'building the addon' scripts/build-native
  touch "$top/native/build/tapswitch.node"
}

build_typescript() {
  (cd "$top" && is_stale dist/.built src tsconfig.json tsconfig.build.json package.json) || return 0
  say 'compiling TypeScript to dist/'
  step_log 'compiling TypeScript' npm run --silent build:ts
  as_owner touch "$top/dist/.built"
}

# For scripts of long parts: a part that `in_reach` runs is in the background, so that a signal is heard at once and not after it. The part is then
# told to end, and its clearing up awaited.
in_reach() {
  "$@" &
  wait "$!"
}
end_by_signal() {
  local pid
  trap '' INT TERM HUP
  for pid in $(jobs -pr); do kill -TERM "$pid" 2>/dev/null; done
  wait
  exit "$1"
}
heed_signals() {
  trap 'end_by_signal 130' INT
  trap 'end_by_signal 143' TERM HUP
}

# What it takes to run the switch and the lab.
set_up_switch() {
  need_root
  need_tun
  need_node
  need_debian iproute2 iputils-ping iperf3 tcpdump ethtool procps g++ python3
  npm_ci "$top" 'packages of the switch and its build'
  build_addon
  build_typescript
}

# What the tests need on top.
set_up_tests() {
  local ovs_is_ours=''
  set_up_switch
  is_installed openvswitch-switch || ovs_is_ours=1
  need_debian make python3-scapy libpcap-dev openvswitch-common openvswitch-switch tshark clang-format
  # We want its programs, not its service at the next boot.
  [ -z "$ovs_is_ours" ] || systemctl disable --quiet openvswitch-switch 2>/dev/null
  npm_ci "$top/test/system/kit" 'packages that only the system tests use (cap, raw-socket)'
}
