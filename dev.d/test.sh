# Tests, all through ctest: unit tests and integration tests are registered in CMake.

# test_run FOLDER [ctest arguments]: ctest's closing lines are the last ones.
test_run() {
    local folder=$1
    shift
    # Twice the cores, since most tests wait most of the time. CI's machine is shared and noisy: a test that fails there is
    # run once more, and ctest says so.
    ctest --test-dir "$folder" --output-on-failure -j "$((2 * $(nproc)))" ${CI:+--repeat until-pass:2} "$@" </dev/null
}

test_command() {
    deps_ensure test
    build gcc
    if (($#)); then
        test_run build -R "$1" "${@:2}"
    else
        test_run build
    fi
}
