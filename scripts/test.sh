#!/usr/bin/env bash
# make test: installs what the tests want (as root, where apt-get is), then runs them. What cannot be had here is named in
# one line each; the tests that need it skip, or fail where CI=true.
set -euo pipefail
cd "$(dirname "$0")/.."

# want COMMAND PACKAGE: note a missing command and the Debian package that holds it.
missing=()
want() { command -v "$1" >/dev/null || [ -x "/usr/sbin/$1" ] || missing+=("$2"); }
want rsync rsync
want ssh openssh-client
want sshd openssh-server
want ip iproute2
want nft nftables
want miniupnpd miniupnpd
want gcc gcc
want mkfs.ext4 e2fsprogs
want mount mount
if command -v docker >/dev/null && ! docker compose version >/dev/null 2>&1; then
	want docker-compose docker-compose
fi
if [ ${#missing[@]} -gt 0 ]; then
	if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
		printf 'installing %s\n' "${missing[*]}"
		export DEBIAN_FRONTEND=noninteractive
		{ apt-get update -q && apt-get install -q -y --no-install-recommends "${missing[@]}"; } >/dev/null </dev/null ||
			printf 'not installed, so their tests cannot run: %s\n' "${missing[*]}"
	else
		printf 'missing, so their tests cannot run (install as root): %s\n' "${missing[*]}"
	fi
fi

# The Kubo whose CIDs ours are compared with: a module of its own, built once and kept in the user's cache.
content/oracle/build.sh >/dev/null || printf 'Kubo could not be built here, so nothing is compared with it\n'

race=()
if [ "$(go env CGO_ENABLED)" = 1 ] && command -v gcc >/dev/null; then
	race=(-race)
else
	printf 'no C compiler, so no race detector\n'
fi

go test "${race[@]}" -timeout 25m ./...

if [ "$(id -u)" != 0 ] || ! unshare --mount true 2>/dev/null || [ ! -e /dev/loop-control ]; then
	printf 'no mounts or no loop devices here, so no power cut is tried\n'
fi
# Once more with points to crash at: kills and power cuts (ARCHITECTURE.md, "Faults").
go test "${race[@]}" -tags fault -timeout 10m -run 'EachPoint|TestParse' ./store/... ./cmd/shoal
