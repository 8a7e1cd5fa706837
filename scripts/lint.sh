#!/usr/bin/env bash
# make lint: everything that can be said about the source without running it. Runs all checks, then fails if any failed.
set -uo pipefail
cd "$(dirname "$0")/.." || exit

failed=()
# check NAME COMMAND...: runs the command, prints how long it took, remembers a failure.
check() {
	local name=$1 start=$SECONDS
	shift
	if "$@"; then
		printf 'ok    %s (%ds)\n' "$name" $((SECONDS - start))
	else
		printf 'FAIL  %s (%ds)\n' "$name" $((SECONDS - start))
		failed+=("$name")
	fi
}

formatted() {
	local files
	files=$(go tool gofumpt -l .) || return 1
	[ -z "$files" ] && return 0
	printf 'not formatted (go tool gofumpt -w FILE):\n%s\n' "$files"
	return 1
}

# Vetting for a system type-checks the tests of that system too, which go build alone does not.
crosscompiles() {
	GOOS=$1 GOARCH=$2 CGO_ENABLED=0 go build ./... && GOOS=$1 GOARCH=$2 CGO_ENABLED=0 go vet ./...
}

vulnerabilities() {
	if [ -d ../shared/vulndb ]; then
		go run ./scripts/vulncheck -db "file://$(cd ../shared/vulndb && pwd)"
	else
		go run ./scripts/vulncheck
	fi
}

modules() {
	go mod verify >/dev/null && go mod tidy -diff
}

check 'gofumpt' formatted
check 'go.mod is tidy' modules
check 'go vet' go vet ./...
check 'go vet with fault points' go vet -tags fault ./...
check 'staticcheck' go tool staticcheck ./...
check 'layout' go test -count=1 .
for system in linux darwin windows; do
	for machine in amd64 arm64; do
		check "compiles for $system/$machine" crosscompiles "$system" "$machine"
	done
done
check 'govulncheck' vulnerabilities

if [ ${#failed[@]} -gt 0 ]; then
	printf 'lint failed: %s\n' "$(IFS=,; echo "${failed[*]}")" >&2
	exit 1
fi
