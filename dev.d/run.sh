# Programs of their own under tests/: bench, crash, fuzz.

run_script() {
    local name=$1
    shift
    [[ -x tests/$name/run.sh ]] || die "there is no tests/$name/run.sh"
    deps_ensure check
    build gcc
    exec "tests/$name/run.sh" "$@"
}

run_bench() { run_script bench "$@"; }
run_crash() {
    if [[ ${1:-} == --allocations ]]; then
        deps_ensure check
        build asan
        exec tests/crash/allocations.py --build build-asan "${@:2}"
    fi
    run_script crash "$@"
}
run_fuzz() { # it makes builds of its own
    deps_ensure check
    exec tests/fuzz/run.sh "$@"
}
