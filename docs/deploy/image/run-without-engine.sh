#!/bin/sh
# Starts what build-without-engine.mjs built, under the restrictions of docker-compose.yml: user 1000, a root that cannot be written to, no
# capability, no new privileges. Root on Linux. The network is this machine's.
#   run-without-engine.sh IMAGE_DIR CONFIG_DIR DATA_DIR [ARGUMENT …]
set -eu
image=$1 config=$2 data=$3
shift 3
mkdir -p "$image/etc/streamgauge" "$data"
chown 1000:1000 "$data"
[ $# -gt 0 ] || set -- run -c /etc/streamgauge/streamgauge.yaml
# shellcheck disable=SC2016 # These are the inner shell's.
exec unshare --mount --pid --fork --kill-child --ipc sh -c '
  image=$1 config=$2 data=$3
  shift 3
  mount --bind "$image" "$image"
  mount --bind "$config" "$image/etc/streamgauge"
  mount --bind "$data" "$image/data"
  mount -t tmpfs -o size=64m tmpfs "$image/tmp"
  mount -t proc proc "$image/proc"
  mount -o remount,bind,ro "$image/etc/streamgauge"
  mount -o remount,bind,ro "$image"
  cd /
  exec chroot "$image" setpriv --reuid 1000 --regid 1000 --clear-groups --bounding-set -all --inh-caps -all --no-new-privs \
    env -i PATH=/usr/local/bin:/usr/bin:/bin NODE_ENV=production HOME=/home/node node /app/dist/src/cli.js "$@"
' sh "$image" "$config" "$data" "$@"
