#!/bin/sh
# Makes sure that the Debian packages needed for "run" or "test" are there.
# As root it installs what is missing; otherwise it names it in one line and stops.
set -eu

run="libgl1 libegl1 libglib2.0-0 libfontconfig1 libdbus-1-3 libxkbcommon0"
window="libxcb-cursor0 libxcb-icccm4 libxcb-keysyms1 libxkbcommon-x11-0 libxcb-shape0"
test_only="xvfb xauth poppler-utils dicom3tools"

case "${1:-run}" in
  run) wanted="$run" ;;
  desktop) wanted="$run $window" ;;
  test) wanted="$run $window $test_only" ;;
  *) echo "usage: system-packages.sh run|desktop|test" >&2; exit 2 ;;
esac

if ! command -v dpkg-query >/dev/null 2>&1; then
  echo "irplan: not a Debian system; it needs the equivalents of: $wanted" >&2
  exit 0
fi

PYTHON="${PYTHON:-python3}"
if ! "$PYTHON" -c 'import ensurepip' >/dev/null 2>&1; then
  wanted="python3 python3-venv $wanted"
fi

missing=""
for package in $wanted; do
  status=$(dpkg-query -W -f '${Status}' "$package" 2>/dev/null || true)
  [ "$status" = "install ok installed" ] || missing="$missing $package"
done
[ -n "$missing" ] || exit 0

if [ "$(id -u)" -eq 0 ]; then
  echo "irplan: installing system packages:$missing" >&2
  apt-get update -qq >/dev/null
  # shellcheck disable=SC2086
  DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $missing >/dev/null
else
  echo "irplan: missing system packages; ask an administrator to run: apt-get install$missing" >&2
  exit 1
fi
