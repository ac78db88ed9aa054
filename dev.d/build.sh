# Builds. Each kind has a folder of its own, so that switching costs nothing.

# build_folder KIND
build_folder() {
    case $1 in
    gcc) echo build ;;
    clang | asan | tsan) echo "build-$1" ;;
    *) die "no kind of build \"$1\": gcc, clang, asan or tsan" ;;
    esac
}

# build KIND [target…]: configures when needed, builds, says how long it took when it did something. One at a time
# in each folder: two commands at once would spoil each other's build.
build() {
    local lock
    mkdir -p run
    exec {lock}>"run/$(build_folder "$1").lock"
    flock -n "$lock" || progress "waiting for another command that builds $(build_folder "$1")/"
    flock "$lock" && build_locked "$@" && exec {lock}>&-
}

build_locked() {
    local kind=$1 folder start options=()
    folder=$(build_folder "$kind") || return
    shift
    start=$(now_ms)
    case $kind in
    gcc) options=(-DCMAKE_C_COMPILER=gcc -DCMAKE_BUILD_TYPE=RelWithDebInfo) ;;
    clang) options=(-DCMAKE_C_COMPILER=clang -DCMAKE_BUILD_TYPE=Debug -DCMAKE_EXPORT_COMPILE_COMMANDS=ON) ;;
    asan) options=(-DCMAKE_C_COMPILER=gcc -DCMAKE_BUILD_TYPE=Debug -DPCS_SANITIZE=address,undefined) ;;
    tsan) options=(-DCMAKE_C_COMPILER=gcc -DCMAKE_BUILD_TYPE=Debug -DPCS_SANITIZE=thread) ;;
    esac
    # A checkout that was copied or moved has another's build in it.
    if [[ -f $folder/CMakeCache.txt ]] && ! grep -qxF "CMAKE_HOME_DIRECTORY:INTERNAL=$DEV_ROOT" "$folder/CMakeCache.txt"; then
        rm -rf "$folder"
    fi
    if [[ ! -f $folder/build.ninja ]]; then
        quietly "$folder/configure.log" cmake -S . -B "$folder" -G Ninja "${options[@]}" || return
    fi
    progress "building $folder/ ($kind)"
    quietly "$folder/build.log" ninja -C "$folder" "$@" || return
    tail -n 1 "$folder/build.log" | grep -q 'no work to do' || progress "built $folder/ in $(seconds_since "$start") s"
}

build_command() {
    local kind
    (($#)) || set -- gcc
    if [[ " $* " == *' clang '* ]]; then deps_ensure check; else deps_ensure build; fi
    for kind in "$@"; do build_folder "$kind" >/dev/null; done
    for kind in "$@"; do
        build "$kind"
        good "$(build_folder "$kind")/ is up to date"
    done
}
