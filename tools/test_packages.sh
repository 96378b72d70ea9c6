#!/usr/bin/env bash
# Installs the Debian packages into a throw-away system of this machine's release, boots it, and
# looks at what an administrator would: dependencies, start, watchdog, upgrade, removal, purge.
#
#   tools/test_packages.sh        as root; needs debootstrap and systemd-container
#
# Ends with 77 where no system can be booted: without root, or in a container that forbids it.
# The packages are those of build/packages (cmake --build build --target packages). The system lies in
# build/package-system; what it was made of is kept there for the next time. Names of mirrors and
# proxies are those of this machine's apt. Nothing of this machine changes.
#
# shellcheck disable=SC2016,SC2053  # $ in formats is for the program called; patterns are meant
set -euo pipefail
cd "$(dirname "$0")/.."
work=$PWD/build/package-system
base=$work/base system=$work/system archives=$work/archives log=$work/log
newer=999.0-1

fail() {
  echo "test_packages: $*" >&2
  exit 1
}
say() { printf '%-26s %s\n' "$1" "$2"; }

if [ "$(id -u)" -ne 0 ] || ! unshare --mount --pid --net --ipc --uts --fork true; then
  echo "test_packages: not tested: a system cannot be booted here; expected root, and a kernel that lets it make namespaces" >&2
  exit 77
fi
for program in debootstrap systemd-nspawn nsenter cpack; do
  command -v "$program" >/dev/null || fail "no $program here; apt-get install debootstrap systemd-container dpkg-dev cmake"
done
# shellcheck disable=SC1091
release=$(. /etc/os-release && echo "$VERSION_CODENAME")
architecture=$(dpkg --print-architecture)

shopt -s nullglob
debs=()
for package in device opencv server train; do
  found=(build/packages/ddnn-"$package"_*_"$architecture".deb)
  [ ${#found[@]} -eq 1 ] ||
    fail "build/packages has ${#found[@]} packages ddnn-$package, expected one: empty it and cmake --build build --target packages"
  debs+=("${found[@]}")
done

# ---- A system of this release, kept ----

mirror=$(apt-get indextargets --format '$(CODENAME) $(REPO_URI)' 'Created-By: Packages' 'Origin: Debian' |
  awk -v release="$release" '$1 == release {print $2; exit}')
[ -n "$mirror" ] || fail "apt has no source for Debian's $release here"
proxy=$(apt-config shell proxy Acquire::http::Proxy)
eval "${proxy:-proxy=}"
mkdir -p "$archives" "$log"
rm -f "$log"/*
if [ ! -e "$base/made" ]; then
  rm -rf "$base"
  http_proxy=$proxy debootstrap --variant=minbase --include=systemd-sysv,dbus,ca-certificates "$release" "$base" "$mirror" \
    >"$log/debootstrap" || fail "debootstrap: see $log/debootstrap"
  # What this machine's apt was told about its mirrors holds there too.
  cp /etc/apt/apt.conf.d/*[Pp]roxy* /etc/apt/apt.conf.d/*valid* "$base/etc/apt/apt.conf.d/" 2>/dev/null || true
  cp /etc/resolv.conf "$base/etc/resolv.conf"
  touch "$base/made"
fi

leader=''
cleanup() {
  [ -z "$leader" ] || kill -s RTMIN+4 "$leader" 2>/dev/null || true  # systemd: poweroff
  wait 2>/dev/null || true
  rm -rf "$system"
}
trap cleanup EXIT
rm -rf "$system"
cp -a --reflink=auto "$base" "$system"
mkdir -p "$system/packages"

in_root() {  # without a booted system, with the network
  mount --bind "$archives" "$system/var/cache/apt/archives"
  mount -t proc proc "$system/proc"
  local code=0
  env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/root LC_ALL=C.UTF-8 DEBIAN_FRONTEND=noninteractive \
    http_proxy="$proxy" chroot "$system" "$@" >>"$log/apt" 2>&1 || code=$?
  umount "$system/proc" "$system/var/cache/apt/archives"
  [ $code -eq 0 ] || fail "$*: ended with $code, see $log/apt"
}

cp "${debs[@]}" "$system/packages/"
: >"$log/apt"
in_root apt-get -q update
in_root sh -c 'apt-get -q -y --no-install-recommends --download-only install /packages/*.deb dataset-fashion-mnist'

# ---- Boot it, without a network ----

truncate -s 0 "$log/boot"
systemd-nspawn --quiet --register=no --keep-unit --private-network --machine=ddnn-test-$$ \
  --bind="$archives:/var/cache/apt/archives" --directory="$system" --boot </dev/null >"$log/boot" 2>&1 &
nspawn=$!
state=''
for _ in $(seq 100); do
  leader=$(pgrep -P $nspawn || true)
  [ -z "$leader" ] || state=$(nsenter -t "$leader" -a systemctl is-system-running 2>&1 || true)
  [[ $state != running && $state != degraded ]] || break
  kill -0 $nspawn 2>/dev/null || fail "the system did not boot: see $log/boot"
  sleep 0.3
done

inside() {
  nsenter -t "$leader" -a env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/root LC_ALL=C.UTF-8 \
    DEBIAN_FRONTEND=noninteractive "$@"
}
apt_inside() {  # its shell knows what lies in /packages there
  inside sh -c "cd / && apt-get -q -y --no-install-recommends -o Dpkg::Options::=--force-confold $*" >>"$log/apt" 2>&1 ||
    fail "apt-get $*: ended with $?, see $log/apt"
}
property() { inside systemctl show --value -p "$2" "ddnn-$1"; }
running() { inside sh -c 'cat /proc/[0-9]*/comm | grep ^ddnn | sort'; }
expect() {  # WHAT FOUND WANTED
  [[ "$2" == $3 ]] || fail "$1: found \"$2\", expected \"$3\""
}
# Asks until the answer fits; systemd and the daemons need a moment.
eventually() {  # WHAT WANTED COMMAND...
  local what=$1 wanted=$2 got=''
  shift 2
  for _ in $(seq 300); do
    got=$("$@" 2>&1) || true
    [[ "$got" == $wanted ]] && return
    sleep 0.2
  done
  inside journalctl --no-pager >"$log/journal" || true
  fail "$what: found \"$got\", expected \"$wanted\"; see $log/journal"
}

# ---- ddnn-device alone ----

inside dpkg-query -W -f '${Package}\n' >"$log/before"
apt_inside install './packages/ddnn-device_*.deb'
inside dpkg-query -W -f '${Package} ${Installed-Size}\n' | sort >"$log/after"
join -v 2 <(sort "$log/before") "$log/after" >"$log/closure"
if grep -E 'torch|opencv|onnx|python' "$log/closure"; then
  fail "ddnn-device brings these along"
fi
say "ddnn-device" "$(awk '$1 == "ddnn-device" {print $2}' "$log/closure") KiB installed, with the $(($(wc -l <"$log/closure") - 1)) packages that it needs $(awk '{sum += $2} END {print sum}' "$log/closure") KiB"
expect "the user" "$(inside getent passwd ddnn)" 'ddnn:x:*:/var/lib/ddnn:/usr/sbin/nologin'
expect "after installation" "$(inside systemctl is-enabled ddnn-device || true) $(property device ActiveState)" 'disabled inactive'
# As it comes it has a parent that is not there and no bundle, and nobody waits for it.
inside systemctl start ddnn-device
expect "without a parent" "$(property device StatusText)" 'waiting for edge.local:7100'
inside systemctl stop ddnn-device
expect "stopped while it waits" "$(property device Result) $(property device NRestarts)" 'success 0'
inside sh -c 'gunzip -t /usr/share/man/man1/ddnn-device.1.gz && bash -n /usr/share/bash-completion/completions/ddnn-device'

# ---- A tree of all of them ----

apt_inside install ./packages/ddnn-{server,opencv,train}_'*.deb' dataset-fashion-mnist
# The cloud with float layers: those are compiled while it runs, which a service must be allowed to.
inside sh -c 'sed "/name: .cloud/,\$ s/binary_conv/conv/" /usr/share/ddnn/models/figure2/d.textproto >/root/network.textproto
  ddnn-train --network /root/network.textproto --data fashion-mnist --epochs 1 --samples 1000 --out /var/lib/ddnn/bundle' \
  >"$log/train" 2>&1 || fail "ddnn-train: see $log/train"
inside sh -c 'cd /etc/ddnn
  sed -i "s/edge.local:7100/127.0.0.1:7100/; /^source:/ s/camera:0/fashion-mnist/" device.textproto
  sed -i "s/cloud.example:7200/127.0.0.1:7200/" edge.textproto
  for exit in local edge; do  # every sample goes all the way
    echo "threshold { key: \"$exit\" value: -1 }" >>device.textproto
  done
  echo "threshold { key: \"edge\" value: -1 }" >>edge.textproto
  chown -R ddnn: /var/lib/ddnn'
inside systemctl --quiet enable --now ddnn-cloud ddnn-edge ddnn-device ||
  { inside journalctl --no-pager >"$log/journal"; fail "the tree did not start: see $log/journal"; }
eventually "ddnn-edge" "connected to 127.0.0.1:7200" property edge StatusText
eventually "ddnn-device" "connected to 127.0.0.1:7100" property device StatusText
eventually "answers of the device" "* at cloud *" inside journalctl -u ddnn-device -o cat -n 20
say 'a tree under systemd' 'started, connected, answers from device to cloud'

# ---- Stuck, killed ----

for role in device edge cloud; do
  inside mkdir -p "/run/systemd/system/ddnn-$role.service.d"
  printf '[Service]\nWatchdogSec=10\nRestartSec=100ms\n' |
    inside sh -c "cat >/run/systemd/system/ddnn-$role.service.d/test.conf"
done
inside systemctl daemon-reload
for role in cloud edge device; do
  inside systemctl restart ddnn-$role
  inside systemctl kill --signal=STOP ddnn-$role
done
for role in cloud edge device; do
  eventually "restarts of a stuck ddnn-$role" 1 property $role NRestarts
  eventually "a stuck ddnn-$role" active property $role ActiveState
  expect "why ddnn-$role ended" "$(inside journalctl -u ddnn-$role -o cat)" '*Watchdog timeout*'
  inside systemctl kill --signal=KILL ddnn-$role
  eventually "restarts of a killed ddnn-$role" 2 property $role NRestarts
done
eventually "ddnn-device" "connected to 127.0.0.1:7100" property device StatusText
say "stuck, killed" "restarted"

# ---- Upgrade ----

cpack_log=$log/cpack
(cd build && cpack -D DDNN_PACKAGE_VERSION=$newer -D "CPACK_COMPONENTS_ALL=device;server" \
  -D CPACK_PACKAGE_DIRECTORY="$work/newer" -B "$work/newer" >"$cpack_log" 2>&1) || fail "cpack: see $cpack_log"
cp "$work"/newer/ddnn-{device,server}_"$newer"_*.deb "$system/packages/"
before="$(property device MainPID) $(property edge MainPID) $(property cloud MainPID)"
sum=$(inside sh -c 'cat /etc/ddnn/*.textproto | md5sum')
apt_inside remove ddnn-train ddnn-opencv
apt_inside install "./packages/ddnn-device_${newer}_*.deb" "./packages/ddnn-server_${newer}_*.deb"
for role in device edge cloud; do
  eventually "ddnn-$role after the upgrade" active property $role ActiveState
  [[ " $before " != *" $(property $role MainPID) "* ]] || fail "the upgrade did not restart ddnn-$role"
done
expect "version" "$(inside dpkg-query -W -f '${Version}' ddnn-device)" "$newer"
expect "edited configuration" "$(inside sh -c 'cat /etc/ddnn/*.textproto | md5sum')" "$sum"
eventually "ddnn-device" "connected to 127.0.0.1:7100" property device StatusText
say "upgrade" "configuration kept, services restarted"

# ---- Removal, purge ----

apt_inside remove ddnn-device
expect "after removal" "$(running)" $'ddnn-cloud\nddnn-edge'
inside test -e /etc/ddnn/device.textproto || fail "removal took the configuration away"
apt_inside purge ddnn-device
inside test ! -e /etc/ddnn/device.textproto || fail "purge left the configuration"
expect "ddnn-cloud, after the device's purge" "$(property cloud ActiveState)" active
inside getent passwd ddnn >/dev/null || fail "the device's purge took the servers' user away"
apt_inside purge ddnn-server
expect "left by purge" "$(inside sh -c 'getent passwd ddnn; getent group ddnn
  ls -d /etc/ddnn /var/lib/ddnn /etc/systemd/system/*/ddnn-* 2>/dev/null; true')$(running)" ''
say "removal, purge" "nothing is left"
