#!/usr/bin/env bash
# make demo: two nodes with homes of their own find each other, one shares, the other fetches by CID; then the fetching
# side is killed in mid-download and goes on from where it was. Ends by itself and leaves nothing behind.
#
# Where the system lets it (Linux, as root or with user namespaces), the two nodes stand in network namespaces of their own
# with a cable between them, so that mDNS crosses a wire and nothing leaves the machine. All of it, processes too, belongs
# to one process namespace and goes with it, however the script ends. Elsewhere the nodes use the machine's own interfaces.
set -euo pipefail
cd "$(dirname "$0")/.."
shoal=$PWD/bin/shoal
big=$((1 << 30)) # bytes of the random file

say() { printf '\n\033[1m%s\033[0m\n' "$*"; }
die() {
	printf 'demo: %s\n' "$*" >&2
	exit 1
}

# field NAME FILE: the first value of that name in the last line of JSON.
field() { tail -n 1 "$2" | grep -oE "\"$1\": ?(\"[^\"]*\"|[0-9.e+-]+)" | head -n 1 | sed -E 's/^"[^"]*": ?//; s/^"|"$//g'; }
# received FILE: the verified bytes that came from peers, by the last line.
received() { tail -n 1 "$1" | grep -oE '"sources": ?\[.*' | grep -oE '"bytes": ?[0-9]+' | awk -F: '{n += $2} END {printf "%d", n}'; }
kib() { du -sk "$@" | awk '{n += $1} END {print n}'; }
# rate BYTES SECONDS
rate() { awk -v b="$1" -v s="$2" 'BEGIN {printf "%.1f MB in %.2f s, %.0f MB/s", b / 1e6, s, (s > 0 ? b / 1e6 / s : 0)}'; }
mb() { awk -v b="$1" 'BEGIN {printf "%.1f MB", b / 1e6}'; }

# The outer half makes the folder for everything, removes it at the end, and chooses the network.
if [ "${1:-}" != inside ]; then
	[ -x "$shoal" ] || die "no bin/shoal: run make build"
	tree=$(cd "$(go env GOROOT)/src" && pwd -P)
	work=$(mktemp -d "${TMPDIR:-/tmp}/shoal-demo.XXXXXX")
	trap 'rm -rf "$work"' EXIT
	trap 'exit 130' INT TERM
	need=$((4 * big / 1024 + 1000000))
	[ "$(df -Pk "$work" | awk 'NR == 2 {print $4}')" -gt $need ] || die "needs $((need / 1000000)) GB free in $work (TMPDIR chooses another place)"
	apart=(unshare --net --mount --pid --fork --kill-child --mount-proc)
	[ "$(id -u)" = 0 ] || apart=(unshare --map-root-user "${apart[@]:1}")
	if command -v ip >/dev/null && command -v nsenter >/dev/null && "${apart[@]}" ip link add type veth 2>/dev/null; then
		"${apart[@]}" "$0" inside wire "$work" "$tree"
	else
		"$0" inside host "$work" "$tree"
	fi
	exit
fi

network=$2 work=$3 tree=$4
pids=()
cleanup() {
	for pid in ${pids[@]+"${pids[@]}"}; do kill "$pid" 2>/dev/null || true; done
	for pid in ${pids[@]+"${pids[@]}"}; do wait "$pid" 2>/dev/null || true; done
}
trap cleanup EXIT
trap 'exit 130' INT TERM

# Each side runs its commands through the array of its name.
anna=(env) ben=(env) by=mdns mode=lan
case $network in
wire)
	unshare --net sleep 3600 &
	far=$!
	pids+=("$far")
	until [ "$(readlink "/proc/$far/ns/net")" != "$(readlink /proc/self/ns/net)" ]; do sleep 0.01; done
	ben=(nsenter "--net=/proc/$far/ns/net" --)
	ip link set lo up
	ip link add cable type veth peer name cable netns "$far"
	ip addr add 10.77.0.1/24 dev cable
	ip link set cable up
	"${ben[@]}" ip link set lo up
	"${ben[@]}" ip addr add 10.77.0.2/24 dev cable
	"${ben[@]}" ip link set cable up
	say "Two nodes in two network namespaces, a cable between them, mDNS to find each other"
	;;
host)
	# UP, MULTICAST and not LOOPBACK, by whichever tool the system has.
	if { ip -o link 2>/dev/null || ifconfig -a 2>/dev/null; } | grep -E '[<,]UP[,>]' | grep -v LOOPBACK | grep -q MULTICAST; then
		say "Two nodes on this machine's own interfaces, mDNS to find each other"
	else
		by=ticket mode=isolated
		say "No multicast interface here, so no mDNS: two nodes on this machine, a ticket to find each other"
	fi
	;;
esac

# up NAME: waits until the node in that home answers.
up() {
	for _ in $(seq 200); do
		"$shoal" --home "$work/$1" status --json >/dev/null 2>&1 && return
		sleep 0.05
	done
	cat "$work/$1.log" >&2
	die "$1's node did not start"
}

# share PATH NAME: by anna's node. Leaves the answer in NAME.share.
share() {
	"${anna[@]}" "$shoal" --home "$work/anna" share --hidden "$1" --json >"$work/$2.share" || die "share $1"
	printf '%s: %s file(s), %s\n  %s\n' "$1" "$(field files "$work/$2.share")" \
		"$(rate "$(field bytes "$work/$2.share")" "$(field seconds "$work/$2.share")")" "$(field cid "$work/$2.share")"
}

# wanted NAME: what the other side is told.
wanted() { if [ "$by" = ticket ]; then field ticket "$work/$1.share"; else field cid "$work/$1.share"; fi; }

# fetched NAME EVENTS: the closing line of a get.
fetched() {
	[ "$(field event "$2")" = "done" ] || die "get $1 ended with: $(tail -n 1 "$2")"
	printf '%s: %s\n' "$1" "$(rate "$(field bytes "$2")" "$(field seconds "$2")")"
}

head -c "$big" /dev/urandom >"$work/random"
sync # or the first download, which ends with a sync, would pay for this file too

"${anna[@]}" "$shoal" --home "$work/anna" serve --network "$mode" >"$work/anna.log" 2>&1 &
pids+=($!)
"${ben[@]}" "$shoal" --home "$work/ben" serve --network "$mode" >"$work/ben.log" 2>&1 &
pids+=($!)
ben_pid=$!
up anna
up ben

say "Anna shares the Go source tree and a 1 GiB random file, where they lie"
share "$tree" tree
share "$work/random" random

say "Ben fetches both by $([ $by = ticket ] && echo ticket || echo 'CID, and nothing else')"
mkdir "$work/got"
for name in tree random; do
	"${ben[@]}" "$shoal" --home "$work/ben" get "$(wanted $name)" -o "$work/got/$name" --json >"$work/$name.events" || true
	fetched "$name" "$work/$name.events"
done
diff -r "$tree" "$work/got/tree" || die "the trees differ"
echo "diff -r finds no difference between the trees"
cmp "$work/random" "$work/got/random" || die "the files differ"
echo "cmp finds no difference between the files"

say "Disk used beyond the files themselves"
all=$(kib "$work")
files=$(kib "$work/random" "$work/got")
homes=$(kib "$work/anna" "$work/ben")
printf "Anna's home %s KiB, Ben's home %s KiB, everything else %s KiB; the files are %s KiB on Ben's side\n" \
	"$(kib "$work/anna")" "$(kib "$work/ben")" "$((all - files - homes))" "$(kib "$work/got")"
[ $((all - files)) -lt 65536 ] || die "that is a copy of something"

say "Carol fetches the random file without a daemon, and is killed (-9) in mid-download"
kill "$ben_pid"
wait "$ben_pid" 2>/dev/null || true
mkdir "$work/carol.got"
get=("${ben[@]}" "$shoal" --home "$work/carol" get "$(wanted random)" -o "$work/carol.got/random" --network "$mode" --json)
"${get[@]}" >"$work/carol.1" 2>&1 &
carol=$!
pids+=("$carol")
until [ "$(kib "$work/carol.got")" -gt $((big / 1024 / 3)) ]; do
	kill -0 "$carol" 2>/dev/null || die "the download ended before it could be killed: $(tail -n 1 "$work/carol.1")"
	sleep 0.01
done
kill -9 "$carol"
wait "$carol" 2>/dev/null || true
[ ! -e "$work/carol.got/random" ] || die "something partial stands under the final name"
printf 'killed with %s on disk, under a hidden name: %s\n' "$(mb $((1024 * $(kib "$work/carol.got"))))" "$(ls -A "$work/carol.got")"

say "The same command again"
"${get[@]}" >"$work/carol.2" || true
fetched random "$work/carol.2"
printf '%s were there and hashed right, %s came over the wire\n' "$(mb "$(field present "$work/carol.2")")" "$(mb "$(received "$work/carol.2")")"
[ "$(received "$work/carol.2")" -lt $((big * 3 / 4)) ] || die "the resume fetched again what was there"
cmp "$work/random" "$work/carol.got/random" || die "the files differ"
echo "cmp finds no difference between the files"

say "Done in $SECONDS s"
