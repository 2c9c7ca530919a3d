#!/bin/sh
# clang-tidy over the product, with the compile commands of a clang build.
#   tests/lint/tidy.sh BUILD_DIR
set -eu
cd "$(dirname "$0")/../.."
build=$1
git ls-files '*.c' | grep -E '^(common|proxy|authorize|authenticate|databroker|cli)/' |
    xargs -n 4 -P "$(nproc)" clang-tidy-14 -p "$build" --quiet 2>/dev/null >/tmp/postern-tidy.$$ &&
    status=0 || status=1
grep -E '(warning|error):' /tmp/postern-tidy.$$ | sort -u || true
rm -f /tmp/postern-tidy.$$
[ $status = 0 ] && echo "lint tidy: 0 problem(s)"
exit $status
