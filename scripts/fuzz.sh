#!/usr/bin/env bash
# fuzz.sh [TIME]: runs every fuzz target of the module, one after the other, for TIME (30s) each. Go keeps an input that
# breaks a target under that package's testdata/fuzz: commit it with the fix.
set -euo pipefail
cd "$(dirname "$0")/.."

time=${1:-30s}
status=0
while read -r package; do
	for target in $(go test -list '^Fuzz' "$package" | grep '^Fuzz' || true); do
		printf '== %s %s\n' "$package" "$target"
		go test -run='^$' -fuzz="^$target\$" -fuzztime="$time" "$package" || status=1
	done
done < <(go list ./...)
exit "$status"
