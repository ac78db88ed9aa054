# ./dev check: every gate, one after the other; all of them run, and the end says which failed.

CHECK_LOGS=build/check

# gate NAME COMMAND…: runs it in a shell of its own, so that a die in it ends the gate only.
gate() {
    local name=$1 start status=0
    shift
    start=$(now_ms)
    printf '%s%-34s%s\n' "$BOLD" "$name" "$PLAIN"
    ("$@") </dev/null || status=$?
    if ((status == 0)); then
        GATES+=("$(printf '%sok    %s %-34s %6s s' "$GREEN" "$PLAIN" "$name" "$(seconds_since "$start")")")
    else
        GATES+=("$(printf '%sFAILED%s %-34s %6s s' "$RED" "$PLAIN" "$name" "$(seconds_since "$start")")")
        GATES_FAILED=$((GATES_FAILED + 1))
    fi
}

format_check() { source_files src include tests | xargs clang-format --dry-run -Werror; }

scripts_check() {
    local script bad=0
    for script in dev dev.d/*.sh .ci/run $(find tests docker -name '*.sh' 2>/dev/null); do
        bash -n "$script" || bad=1
    done
    return "$bad"
}

# The example names every setting, with its default.
example_check() {
    local file=config/product-change-service.yaml
    diff -u "$file" <(example_print) || {
        fail "$file is not what the program knows: ./dev example > $file"
        return 1
    }
    # As it is, and with every default written out.
    export JWT_SECRET
    JWT_SECRET=$(openssl rand -hex 32)
    build/product-change-service --config "$file" --check-config >/dev/null &&
        sed -E 's/^  #([a-z_.]+: .)/  \1/' "$file" >"$CHECK_LOGS/example.yaml" &&
        build/product-change-service --config "$CHECK_LOGS/example.yaml" --check-config >/dev/null
}

# clang-tidy on every file of src, as clang builds it. A file is looked at again only when it, a header or the
# configuration has changed. Findings are printed unless config/clang-tidy.known has them.
tidy_check() {
    local folder=build-clang key
    [[ -f $folder/compile_commands.json ]] || cmake -S . -B "$folder" -DCMAKE_EXPORT_COMPILE_COMMANDS=ON >/dev/null
    mkdir -p "$folder/tidy"
    key=$(cat .clang-tidy $(source_files src include | grep '\.h$') | sha1sum | cut -c 1-12)
    export -f tidy_one
    source_files src | grep '\.c$' | TIDY_KEY=$key TIDY_FOLDER=$folder xargs -P "$(nproc)" -n 1 bash -c 'tidy_one "$1"' tidy || return
    cat "$folder"/tidy/*."$key".txt | grep -E ': (warning|error): ' | sort -u | tidy_unknown
}

tidy_one() {
    local out
    out=$TIDY_FOLDER/tidy/$(tr / . <<<"$1").$(sha1sum <"$1" | cut -c 1-12).$TIDY_KEY.txt
    [[ -f $out ]] && return 0
    rm -f "$TIDY_FOLDER/tidy/$(tr / . <<<"$1")".*
    clang-tidy --quiet -p "$TIDY_FOLDER" "$1" >"$out.part" 2>"$out.err" || {
        cat "$out.part" "$out.err"
        return 255
    }
    mv "$out.part" "$out"
    rm -f "$out.err"
}

# Known ones are told by file, check and the text of the source line, so that they may move.
tidy_unknown() {
    local bad=0 file line rest check text
    while IFS=: read -r file line _ rest; do
        file=${file#"$DEV_ROOT/"}
        check=${rest##*[}
        check=${check%]*}
        text=$(trim "$(sed -n "${line}p" "$file")")
        grep -qxF "$file | $check | $text" config/clang-tidy.known && continue
        printf '%s:%s:%s\n    %s\n' "$file" "$line" "$rest" "$text"
        bad=1
    done
    return "$bad"
}

sanitized_tests() { # KIND
    local options='halt_on_error=1:print_stacktrace=1'
    build "$1" || return
    progress "tests under $1" # the page and the manifests are no matter of sanitizers: ./dev test has them
    ASAN_OPTIONS=$options:detect_leaks=1:strict_string_checks=1 UBSAN_OPTIONS=$options \
        TSAN_OPTIONS=halt_on_error=1:second_deadlock_stack=1 \
        quietly "$CHECK_LOGS/tests-$1.log" test_run "$(build_folder "$1")" -LE '^(web|packaging)$' || return
    tail -n 3 "$CHECK_LOGS/tests-$1.log" | grep -v '^$' || true
}

# Unit tests, for what only valgrind sees: reads of what was never written. Everything is twenty times slower, so an
# assertion about time may fail; that is the other gates' affair, and what such a test leaves behind is no leak.
# Each test has a process of its own, which ends with 99 if valgrind has something to say.
valgrind_check() {
    mkdir -p "$CHECK_LOGS/valgrind"
    export CHECK_LOGS
    export -f valgrind_one
    find build/tests -maxdepth 1 -type f -executable -name 'test_*' | sort |
        xargs -P "$(nproc)" -n 1 bash -c 'valgrind_one "$1"' valgrind
}

valgrind_one() {
    local log=$CHECK_LOGS/valgrind/${1##*/}.log status=0
    CK_FORK=yes CK_DEFAULT_TIMEOUT=300 timeout 300 valgrind --quiet --error-exitcode=99 --leak-check=full \
        --show-leak-kinds=definite,indirect --errors-for-leak-kinds=definite "$1" >"$log" 2>&1 || status=$?
    if grep -qE '(Invalid|Mismatched) (read|write|free)|uninitialised|unaddressable|overlap in|return value 99' "$log"; then
        echo "valgrind: $1 (all of it: $log)"
        grep -E '^==' "$log" | head -n 40
        return 1
    fi
    ((status == 0)) || echo "too slow under valgrind to pass, no memory error: ${1##*/}"
}

# The service itself under valgrind, in the integration tests that take every path of a customer's journey and of bad
# input; the whole suite would take hours. A test may fail for slowness here; what counts is what valgrind says.
VALGRIND_INTEGRATION='test_menu.py test_change_screen.py test_request.py test_validation.py test_idempotency.py test_http.py'

valgrind_integration() {
    local logs=$CHECK_LOGS/valgrind/integration status=0 passed
    rm -rf "$logs" && mkdir -p "$logs"
    PCS_SERVICE_WRAPPER="valgrind --quiet --error-exitcode=99 --leak-check=full --show-leak-kinds=definite --errors-for-leak-kinds=definite --log-file=$DEV_ROOT/$logs/%p.log" \
        PCS_BUILD_DIR=$DEV_ROOT/build tests/integration/run.sh $VALGRIND_INTEGRATION >"$logs.txt" 2>&1 || status=$?
    if grep -lE '^==' "$logs"/*.log; then
        grep -hE '^==' "$logs"/*.log | head -n 60
        return 1
    fi
    passed=$(grep -oE '[0-9]+ passed' "$logs.txt" | tail -n 1)
    [[ -n $passed ]] || { tail -n 30 "$logs.txt"; return 1; }
    ((status == 0)) || echo "too slow under valgrind to pass, no memory error: $(grep -c '^FAILED' "$logs.txt" || true) tests ($logs.txt)"
    echo "$passed, $(find "$logs" -name '*.log' | wc -l) services under valgrind, nothing found"
}

check_command() {
    local full='' start line
    case ${1:-} in
    '') ;;
    --full) full=1 ;;
    *) die "check knows --full only, not \"$1\"" ;;
    esac
    start=$(now_ms)
    GATES=()
    GATES_FAILED=0
    deps_ensure check
    mkdir -p "$CHECK_LOGS"
    gate 'format' format_check
    gate 'scripts' scripts_check
    gate 'docker compose' compose_check
    gate 'layers' layers_check
    gate 'OpenAPI' openapi_check
    gate 'banned functions' banned_check
    gate 'shape' shape_check
    gate 'gcc, warnings are errors' build gcc
    gate 'example configuration' example_check
    gate 'clang, warnings are errors' build clang
    gate 'clang-tidy' tidy_check
    gate 'tests under ASan and UBSan' sanitized_tests asan
    if [[ -n $full ]]; then
        gate 'tests under TSan' sanitized_tests tsan
        gate 'unit tests under valgrind' valgrind_check
        gate 'integration under valgrind' valgrind_integration
    fi
    echo
    for line in "${GATES[@]}"; do say "$line"; done
    ((GATES_FAILED == 0)) || die "$GATES_FAILED of ${#GATES[@]} gates failed, $(seconds_since "$start") s"
    good "all ${#GATES[@]} gates passed, $(seconds_since "$start") s"
}
