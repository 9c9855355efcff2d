#!/bin/sh
# Lays the package into the environment where its sources are other than those laid in before.
set -eu
BIN="${BIN:-.venv/bin}"
LAID="${LAID:-.venv/.laid}"

now=$(find irplan ui pyproject.toml -type f ! -path '*/__pycache__/*' -print0 \
  | LC_ALL=C sort -z | xargs -0 sha256sum | sha256sum)
if [ "$now" = "$(cat "$LAID" 2>/dev/null || true)" ]; then
  exit 0
fi
rm -f "$LAID"
# "build" would keep modules that are gone.
rm -rf build
"$BIN/python" -m pip --disable-pip-version-check --quiet install \
  --no-deps --no-build-isolation --force-reinstall .
rm -rf build
echo "$now" > "$LAID"
