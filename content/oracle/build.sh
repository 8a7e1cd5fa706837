#!/usr/bin/env bash
# build.sh: builds the Kubo that our tests compare with, from the versions in go.mod here, into the user's cache directory, and
# prints its path. Takes about a minute the first time and no time after that. SHOAL_KUBO names a binary to use instead.
set -euo pipefail
cd "$(dirname "$0")"

if [ -n "${SHOAL_KUBO:-}" ]; then
	echo "$SHOAL_KUBO"
	exit
fi

# The same place as os.UserCacheDir has, which is where the tests look.
case "$(go env GOHOSTOS)" in
darwin) cache="$HOME/Library/Caches" ;;
windows) cache="$(cygpath -u "$LOCALAPPDATA")" ;;
*) cache="${XDG_CACHE_HOME:-$HOME/.cache}" ;;
esac
version=$(go list -m -f '{{.Version}}' github.com/ipfs/kubo)
binary="$cache/shoal/kubo-$version/ipfs$(go env GOEXE)"
if [ ! -x "$binary" ]; then
	echo "building Kubo $version; this happens once" >&2
	mkdir -p "$(dirname "$binary")"
	CGO_ENABLED=0 go build -trimpath -o "$binary.$$" github.com/ipfs/kubo/cmd/ipfs
	mv "$binary.$$" "$binary"
fi
echo "$binary"
