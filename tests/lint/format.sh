#!/bin/sh
# Every C file is as clang-format writes it.
set -eu
cd "$(dirname "$0")/../.."
git ls-files --cached --others --exclude-standard '*.c' '*.h' | sort -u |
    xargs clang-format-14 --dry-run --Werror 2>/tmp/postern-format.$$ && status=0 || status=1
grep -c 'error:' /tmp/postern-format.$$ >/dev/null && grep 'error:' /tmp/postern-format.$$ | cut -d: -f1 | sort | uniq -c
rm -f /tmp/postern-format.$$
[ $status = 0 ] && echo "lint format: 0 problem(s)" || echo "lint format: files above are not as clang-format-14 writes them"
exit $status
