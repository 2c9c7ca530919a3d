#!/bin/bash
# Builds the .deb files for the release of Debian that this machine runs, or in a container for
# another one:
#
#   deploy/package.sh [--suite bookworm|trixie] [--out DIR]       DIR: ./build/packages/SUITE
#
# Source tarballs are taken from build/deps when they are there. The same commit gives the same
# files: times come from the last commit, and no path of this machine is in them.
set -euo pipefail

source=$(cd "$(dirname "$0")/.." && pwd)
own=$(. /etc/os-release && echo "$VERSION_CODENAME")
suite=$own out=
while [ $# -ge 2 ]; do
    case $1 in
    --suite) suite=$2 ;;
    --out) out=$2 ;;
    *) break ;;
    esac
    shift 2
done
[ $# = 0 ] || { sed -n 's/^#   \(deploy.*\)/usage: \1/p' "$0" >&2; exit 2; }
out=${out:-$source/build/packages/$suite}
mkdir -p "$out"
out=$(cd "$out" && pwd)
epoch=${SOURCE_DATE_EPOCH:-$(git -C "$source" log -1 --format=%ct 2>/dev/null || date +%s)}
export SOURCE_DATE_EPOCH=$epoch

# What git has, or all of an unpacked archive: never a build folder.
list_sources() {
    cd "$source"
    if [ -e .git ]; then
        git ls-files -z --cached --others --exclude-standard
    else
        find . -path ./build -prune -o -type f -print0
    fi
}
copy_sources() {
    mkdir -p "$1/build/deps"
    list_sources | (cd "$source" && tar --null --ignore-failed-read --no-recursion -T - -cf -) | tar -xf - -C "$1"
    cp "$source"/build/deps/*.tar.?z "$1/build/deps/" 2>/dev/null || true
}

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
copy_sources "$work/postern"

if [ "$suite" != "$own" ]; then
    "$source/deploy/base-image.sh" "$suite"
    container=$(docker create -e SOURCE_DATE_EPOCH "debian:$suite-slim" sh -c \
        '/postern/deploy/packages.sh build package && /postern/deploy/package.sh --out /out')
    trap 'docker rm -f "$container" >/dev/null; rm -rf "$work"' EXIT
    docker cp -q "$work/postern" "$container:/postern"
    docker start -a "$container"
    docker cp -q "$container:/out/." "$out"
    exit
fi

"$source/deploy/packages.sh" build package
cp -a "$work/postern/deploy/debian" "$work/postern/debian"
# The version says for which release it is built.
version=$(sed -n '1s/.*(\(.*\)).*/\1/p' "$work/postern/debian/changelog")~deb$(. /etc/os-release && echo "$VERSION_ID")
sed -i "1s/(.*)/($version)/" "$work/postern/debian/changelog"
(cd "$work/postern" && DEB_BUILD_OPTIONS="noautodbgsym nocheck" dpkg-buildpackage -b -us -uc) >"$out/build.log" 2>&1 ||
    { tail -n 40 "$out/build.log" >&2; exit 1; }
rm -f "$out"/*.deb
cp "$work"/*.deb "$out/"
ls -l "$out"/*.deb
