#!/bin/bash
# Runs the tests: everything, or the parts that are named.
#   tests/run.sh [unit|lint|e2e]...     without a name: all three
#   tests/run.sh compose                the stack of deploy/compose.sh, in containers
#   tests/run.sh compose-load           the same under load, scaled, restarted and hurt: a table
#   tests/run.sh fuzz SECONDS           libFuzzer, each target for SECONDS
#   tests/run.sh bench [NAME]           JSON lines
#   tests/run.sh packages               .deb files of Debian 12 and 13, installed and used in containers
#   tests/run.sh debian13               build and unit tests on Debian 13, in a container
# It installs what it needs, builds, and prints the seconds that each stage took.
set -euo pipefail
cd "$(dirname "$0")/.."
python=/usr/bin/python3

# A stage's seconds are printed when the next one begins, so that the output ends with the closing
# lines of the last runner, which tells its own time.
last_stage= last_from=0
stage() {
    local name=$1
    shift
    [ -z "$last_stage" ] || echo "--- $last_stage: $((SECONDS - last_from)) s"
    last_stage=$name last_from=$SECONDS
    echo "=== $name"
    "$@"
}

build() { cmake --preset "$1" >build/"$1".log 2>&1 && cmake --build --preset "$1" >>build/"$1".log 2>&1 || { tail -n 40 build/"$1".log; return 1; }; }

lint() {
    local status=0
    for check in layers banned sizes docs metrics snippets; do
        $python tests/lint/$check.py || status=1
    done
    $python tests/lint/unique.py build/fuzz || status=1
    tests/lint/format.sh || status=1
    tests/lint/tidy.sh build/fuzz || status=1
    return $status
}

run_unit() {
    stage "build dev (gcc, ASan, UBSan)" build dev
    stage "unit tests and fuzz corpora" ctest --test-dir build/dev --output-on-failure -j "$(nproc)" --no-tests=error
}

run_lint() {
    stage "build fuzz (clang)" build fuzz
    stage "lints" lint
}

run_e2e() {
    stage "build dev (gcc, ASan, UBSan)" build dev
    stage "build release" build release
    stage "OpenSSH 10 client" cmake/deps.sh build/deps ssh10
    # Two files side by side: most of it is waiting.
    stage "e2e" $python -m pytest -q -p no:cacheprovider -n 2 --dist loadfile --timeout=400 --durations=15 tests/e2e
}

compose_images() {
    command -v docker >/dev/null || { echo "tests: compose needs docker" >&2; return 1; }
    stage "base image" deploy/base-image.sh trixie
    stage "image of a user's machine" docker build --quiet --force-rm --file deploy/Dockerfile \
        --target client --tag postern-client:latest .
    for image in postern lb sshd idp; do
        [ $image = postern ] && name=postern || name=postern-$image
        stage "image $name" docker build --quiet --force-rm --file deploy/Dockerfile --target $image \
            --tag $name:latest .
    done
}

run_compose() {
    compose_images
    stage "compose" $python -m pytest -q -s -p no:cacheprovider --timeout=400 --durations=5 \
        tests/compose/test_compose.py tests/compose/test_tutorial.py tests/compose/test_tunnels.py
}

run_compose_load() {
    compose_images
    stage "compose under load" $python -m pytest -q -s -p no:cacheprovider tests/compose/test_load.py
}

run_fuzz() {
    local seconds=$1 target name corpus
    stage "build fuzz (clang)" build fuzz
    for target in build/fuzz/tests/fuzz/*; do
        name=$(basename "$target")
        corpus=$(find tests/fuzz -name "*_fuzz.c" | while read -r f; do
            layer=$(dirname "${f#tests/fuzz/}" | tr / _)
            [ "${layer}_$(basename "$f" .c)" != "$name" ] || basename "$f" _fuzz.c
        done)
        mkdir -p "build/fuzz-corpus/$name"
        stage "fuzz $name" "$target" -max_total_time="$seconds" -rss_limit_mb=2048 -timeout=10 \
            -print_final_stats=1 "build/fuzz-corpus/$name" "tests/fuzz/corpus/$corpus"
    done
}

run_bench() {
    local bench
    stage "build release" build release
    for bench in build/release/tests/bench/* tests/bench/*_bench.py; do
        [ -z "${1:-}" ] || [[ $bench == */*"$1"* ]] || continue
        case $bench in
        *.py) $python "$bench" ;;
        *) "$bench" ;;
        esac
    done
}

mkdir -p build
stage "packages" deploy/packages.sh build demo test
case ${1:-all} in
all) run_unit; run_lint; run_e2e ;;
fuzz) run_fuzz "${2:?seconds}" ;;
bench) run_bench "${2:-}" ;;
compose-load) run_compose_load ;;
packages) stage "packages for Debian 12 and 13" tests/packages/run.sh ;;
debian13) stage "Debian 13: build, unit tests" tests/packages/debian13.sh ;;
*) for part; do
    case $part in
    unit | lint | e2e | compose) "run_$part" ;;
    *) echo "usage: tests/run.sh [unit|lint|e2e|compose]... | compose-load | fuzz SECONDS | bench [NAME] | packages | debian13" >&2; exit 2 ;;
    esac
done ;;
esac
