#!/bin/sh
# Builds the real Loki the test suites run against, from its Go module, once, into the cache: <cache>/streamgauge/loki-<version>/loki.
# It takes about 7 minutes (2 GB of Go modules, then the build) and needs Go 1.23 or later. A second call returns at once.
# Loki is not in Debian (its package `loki` is something else), and `go install` refuses a module with `replace` lines, so the build
# goes through a module of its own that repeats them.
set -eu

version=3.4.6
module=github.com/grafana/loki/v3
cache="${XDG_CACHE_HOME:-$HOME/.cache}/streamgauge/loki-$version"

if [ -x "$cache/loki" ]; then
  echo "$cache/loki is there"
  exit 0
fi
if ! command -v go >/dev/null 2>&1; then
  echo "fetch-loki: no Go on the PATH: install Go 1.23 or later, put a loki on the PATH, or set LOKI_URL" >&2
  exit 3
fi

echo "building Grafana Loki $version from its Go module (2 GB of modules, about 7 minutes, once) into $cache"
mkdir -p "$cache"
work=$(mktemp -d "$cache/build-XXXXXX")
trap 'rm -rf "$work"' EXIT INT TERM
cd "$work"

# Where the module lies, as Go itself says it.
folder=$(go mod download -json "$module@v$version" | sed -n 's/^[[:space:]]*"Dir": "\(.*\)",\{0,1\}$/\1/p')
[ -n "$folder" ] || { echo "fetch-loki: go mod download did not say where $module@v$version lies" >&2; exit 3; }

{
  echo 'module loki-for-tests'
  sed -n 's/^\(go [0-9.]*\)$/\1/p' "$folder/go.mod"
  echo "require $module v$version"
  # `replace` lines bind only in the main module, which is ours here; ./pkg/push is a folder of theirs and a module of its own.
  sed -n -e '/^replace (/,/^)/{/^replace (/d;/^)/d;s/^[[:space:]]*/replace /p;}' -e '/^replace [^(]/p' "$folder/go.mod" |
    grep -v '=> \./' | grep '=>'
} >go.mod
cat "$folder/go.sum" >go.sum
printf 'package main\n\nimport _ "%s/pkg/loki"\n\nfunc main() {}\n' "$module" >main.go

CGO_ENABLED=0 GOFLAGS=-mod=mod nice -n 10 go build -trimpath -ldflags '-s -w' -o loki "$module/cmd/loki"
./loki -version
# Renamed last: a build cut short leaves nothing that looks like a program.
mv loki "$cache/loki"
echo "built $cache/loki"
