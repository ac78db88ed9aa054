#!/usr/bin/env bash
# Feeds the parsers nonsense: run.sh [target…] [--seconds N] [--keep]
#
#   target      names of targets/*.c; default all
#   --seconds   how long each of them runs (default 60)
#   --keep      what is found interesting goes into corpus/ too, reduced to what reaches something new
#
# Builds build-fuzz/ with clang's libFuzzer, AddressSanitizer and UBSan. The working corpus grows in build-fuzz/corpus/;
# what breaks a target is left in build-fuzz/found/, and belongs into corpus/ when it is mended: the tests
# fuzz.seeds.* run every file there in every build. build-fuzz/executions.tsv adds up all runs.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"
here=$PWD root=$(cd ../.. && pwd) seconds=60 keep='' targets=()
build=${PCS_FUZZ_BUILD:-$root/build-fuzz}
while (($#)); do
    case $1 in
    --seconds) seconds=${2:?--seconds needs a number} && shift ;;
    --keep) keep=1 ;;
    -h | --help) sed -n '2,11s/^# \{0,1\}//p' run.sh && exit ;;
    -*) echo "run.sh: no option \"$1\" (--help)" >&2 && exit 2 ;;
    *) [[ -f targets/$1.c ]] || { echo "run.sh: no target \"$1\"; there are: $(basename -s .c targets/*.c | xargs)" >&2; exit 2; }
        targets+=("$1") ;;
    esac
    shift
done
[[ $seconds =~ ^[0-9]+$ ]] || { echo "run.sh: --seconds $seconds is not a number" >&2; exit 2; }
((${#targets[@]})) || mapfile -t targets < <(basename -s .c targets/*.c)

mkdir -p "$build"
if ! {
    { [[ -f $build/build.ninja ]] || cmake -S "$root" -B "$build" -G Ninja -DCMAKE_C_COMPILER=clang -DCMAKE_BUILD_TYPE=Debug \
        -DPCS_SANITIZE=fuzzer-no-link,address,undefined -DPCS_FUZZ=ON; } && ninja -C "$build" "${targets[@]/#/fuzz_}"
} >"$build/build.log" 2>&1; then
    grep -vE '^\[[0-9]+/[0-9]+\]' "$build/build.log" | tail -n 40 >&2
    exit 2
fi

# run_target NAME: one line of the table, also kept in $build/executions.tsv
run_target() {
    local name=$1 log=$build/fuzz/$1.log status=0 executions=0 features=0 speed=0 verdict=ok
    mkdir -p "$build/corpus/$name" "$build/found"
    "$build/fuzz/fuzz_$name" "$build/corpus/$name" "$here/corpus/$name" -max_total_time="$seconds" -max_len=8192 -timeout=20 \
        -rss_limit_mb=2048 -print_final_stats=1 -artifact_prefix="$build/found/$name-" >"$log" 2>&1 || status=$?
    executions=$(sed -n 's/^stat::number_of_executed_units: *//p' "$log" | tail -n 1)
    speed=$(sed -n 's/^stat::average_exec_per_sec: *//p' "$log" | tail -n 1)
    features=$(grep -oE ' ft: [0-9]+' "$log" | tail -n 1 | tr -dc 0-9 || true)
    ((status == 0)) || verdict="FOUND $(sed -n 's/.*Test unit written to //p' "$log" | tail -n 1)"
    printf '%s\t%s\t%s\n' "$name" "${executions:-0}" "$seconds" >>"$build/executions.tsv"
    printf '%-12s %13s %9s %9s   %s\n' "$name" "${executions:-0}" "${speed:-0}" "${features:-0}" "$verdict"
    if ((status)); then
        grep -m 4 -hE 'must hold|ERROR: |runtime error|SUMMARY' "$log" | sed 's/^/    /'
        found=$((found + 1))
    elif [[ -n $keep ]]; then
        "$build/fuzz/fuzz_$name" -merge=1 "$here/corpus/$name" "$build/corpus/$name" >>"$log" 2>&1
    fi
}

found=0
printf '%-12s %13s %9s %9s\n' target executions per/s features
for target in "${targets[@]}"; do run_target "$target"; done
echo
awk -F '\t' '{ n[$1] += $2; s[$1] += $3; all += $2 } END { least = -1; for (t in s) if (least < 0 || s[t] < least) least = s[t]
    printf "all runs so far: %d executions of %d targets, each for %d s or more\n", all, length(n), least }' "$build/executions.tsv"
((found == 0)) || { echo "$found of ${#targets[@]} targets found something" >&2; exit 1; }
