#!/bin/sh
# Fetches and builds what Debian does not package in a usable form, into one
# folder that every preset shares: BoringSSL (static, hidden), the ML-KEM header
# of OpenSSH's release tarball, libssh2 on that BoringSSL. ARCHITECTURE.md,
# Dependencies, says why.
#
#   cmake/deps.sh DEPS_DIR [boringssl] [openssh] [libssh2] [ssh10]
#
# BORINGSSL_TARBALL, OPENSSH_TARBALL, LIBSSH2_TARBALL: use these files instead of
# downloading.
# BORINGSSL_SOURCE_DIR: an unpacked tree to build from.
set -eu

here=$(cd "$(dirname "$0")" && pwd)
deps=$1
shift
mkdir -p "$deps"
deps=$(cd "$deps" && pwd)
exec 9>"$deps/.lock"
flock 9

boringssl_path=pool/main/a/android-platform-external-boringssl/android-platform-external-boringssl_14.0.0+r45.orig.tar.xz
boringssl_sha256=f9223e8c15ad5d9e3f1cd50861f4c272658864661e2332bea5d60952aa0930cd
openssh_path=pool/main/o/openssh/openssh_10.0p1.orig.tar.gz
openssh_sha256=021a2e709a0edf4250b1256bd5a9e500411a90dddabea830ed59cef90eb9d85c
libssh2_path=pool/main/libs/libssh2/libssh2_1.11.1.orig.tar.gz
libssh2_sha256=d9ec76cbe34db98eec3539fe2c899d26b0c837cb3eb466a56b0f109cabf658f7

say() { echo "deps: $*"; }

# fetch PATH SHA256 FILE OVERRIDE: the tarball ends up in FILE, its hash checked.
fetch() {
    if [ -n "$4" ]; then
        cp "$4" "$3.part"
    elif [ -f "$3" ] && echo "$2  $3" | sha256sum --check --status; then
        return 0
    else
        codename=$(. /etc/os-release && echo "$VERSION_CODENAME")
        repo=$(apt-get indextargets --format '$(REPO_URI)' "Codename: $codename" \
            'Created-By: Packages' | head -n 1)
        [ -n "$repo" ] || { say "no Debian source is configured for apt; set the *_TARBALL variables" >&2; exit 1; }
        say "fetching $(basename "$1")"
        /usr/lib/apt/apt-helper download-file "$repo$1" "$3.part" "SHA256:$2" >/dev/null
    fi
    echo "$2  $3.part" | sha256sum --check --status || { say "$3: wrong SHA-256" >&2; exit 1; }
    mv "$3.part" "$3"
}

build_boringssl() {
    stamp="$deps/boringssl/.built-$boringssl_sha256"
    [ -f "$stamp" ] && return 0
    rm -rf "$deps/boringssl"
    mkdir -p "$deps/boringssl/src" "$deps/boringssl/build"
    src=${BORINGSSL_SOURCE_DIR:-}
    if [ -z "$src" ]; then
        fetch "$boringssl_path" "$boringssl_sha256" "$deps/boringssl.tar.xz" "${BORINGSSL_TARBALL:-}"
        tar -xJf "$deps/boringssl.tar.xz" -C "$deps/boringssl/src" --strip-components=1
        src="$deps/boringssl/src"
    fi
    say "building BoringSSL"
    cmake -S "$here/boringssl" -B "$deps/boringssl/build" -G Ninja \
        -DCMAKE_BUILD_TYPE=Release -DBORINGSSL_DIR="$src" >"$deps/boringssl/log" 2>&1 &&
        cmake --build "$deps/boringssl/build" >>"$deps/boringssl/log" 2>&1 ||
        { tail -n 30 "$deps/boringssl/log" >&2; exit 1; }
    mkdir -p "$deps/boringssl/lib"
    cp "$deps/boringssl/build/libbssl_crypto.a" "$deps/boringssl/build/libbssl_ssl.a" "$deps/boringssl/lib/"
    cp -a "$src/src/include" "$deps/boringssl/include"
    rm -rf "$deps/boringssl/src" "$deps/boringssl/build"
    touch "$stamp"
}

unpack_openssh() {
    stamp="$deps/openssh/.unpacked-$openssh_sha256"
    [ -f "$stamp" ] && return 0
    fetch "$openssh_path" "$openssh_sha256" "$deps/openssh.tar.gz" "${OPENSSH_TARBALL:-}"
    rm -rf "$deps/openssh"
    mkdir -p "$deps/openssh"
    tar -xzf "$deps/openssh.tar.gz" -C "$deps/openssh" --strip-components=1
    touch "$stamp"
}

build_libssh2() {
    build_boringssl
    recipe=$( (cat "$here/libssh2/CMakeLists.txt"; echo "$libssh2_sha256 $boringssl_sha256") |
        sha256sum | cut -c1-16)
    stamp="$deps/libssh2/.built-$recipe"
    [ -f "$stamp" ] && return 0
    rm -rf "$deps/libssh2"
    mkdir -p "$deps/libssh2/src" "$deps/libssh2/build" "$deps/libssh2/lib"
    fetch "$libssh2_path" "$libssh2_sha256" "$deps/libssh2.tar.gz" "${LIBSSH2_TARBALL:-}"
    tar -xzf "$deps/libssh2.tar.gz" -C "$deps/libssh2/src" --strip-components=1
    say "building libssh2"
    cmake -S "$here/libssh2" -B "$deps/libssh2/build" -G Ninja -DCMAKE_BUILD_TYPE=Release \
        -DLIBSSH2_DIR="$deps/libssh2/src" -DBORINGSSL_INCLUDE="$deps/boringssl/include" \
        >"$deps/libssh2/log" 2>&1 &&
        cmake --build "$deps/libssh2/build" >>"$deps/libssh2/log" 2>&1 ||
        { tail -n 30 "$deps/libssh2/log" >&2; exit 1; }
    cp "$deps/libssh2/build/libssh2.a" "$deps/libssh2/lib/"
    cp -a "$deps/libssh2/src/include" "$deps/libssh2/include"
    rm -rf "$deps/libssh2/src" "$deps/libssh2/build"
    touch "$stamp"
}

# OpenSSH 10's client, a test peer: Debian 12's 9.2 has no ML-KEM.
build_ssh10() {
    unpack_openssh
    [ -x "$deps/ssh10/ssh" ] && return 0
    say "building the OpenSSH 10 client"
    rm -rf "$deps/ssh10"
    # With their times: configure refuses to be older than its source.
    cp -a "$deps/openssh" "$deps/ssh10"
    (cd "$deps/ssh10" && ./configure --without-openssl --without-zlib && make -j"$(nproc)" ssh) \
        >"$deps/ssh10.log" 2>&1 || { tail -n 30 "$deps/ssh10.log" >&2; exit 1; }
}

[ $# -gt 0 ] || set -- boringssl openssh libssh2
for part; do
    case $part in
    boringssl) build_boringssl ;;
    openssh) unpack_openssh ;;
    libssh2) build_libssh2 ;;
    ssh10) build_ssh10 ;;
    *) say "unknown part: $part" >&2; exit 2 ;;
    esac
done
