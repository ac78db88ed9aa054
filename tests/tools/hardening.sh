#!/usr/bin/env bash
# hardening.sh PROGRAM release|debug: is the program built as hardened as CMakeLists.txt asks for? (issue 5, point 8)
# A debug or sanitizer build is not optimised, so FORTIFY is not in it; everything else has to be.
set -euo pipefail

program=$1 kind=$2 failed=0
header=$(readelf -hW "$program") segments=$(readelf -lW "$program") dynamic=$(readelf -dW "$program")
symbols=$(readelf --dyn-syms -W "$program")

ok() { # NAME COMMAND…
    local name=$1
    shift
    if "$@" >/dev/null; then
        printf 'ok      %s\n' "$name"
    else
        printf 'FAILED  %s\n' "$name"
        failed=$((failed + 1))
    fi
}
has() { grep -qE "$1" <<<"$2"; }
lacks() { ! grep -qE "$1" <<<"$2"; }

# x86-64 only: our functions, and how many of them do not begin with endbr64. Static ones that are only called directly
# may go without; the rest may not.
marked() {
    awk '/^[0-9a-f]+ <(cli|http|journal|change)_[a-z_]+>:$/ { getline; all++; bare += !/endbr64/ }
         END { exit !(all > 100 && bare * 20 < all) }' <<<"$code"
}
# A frame of more than a page is touched page by page.
probes() { grep -qE 'or[lq] +\$0x0,\(%rsp\)' <<<"$code"; }

ok 'position independent (PIE)' has 'Type: +DYN' "$header"
ok 'read-only after relocation (RELRO)' has '^ +GNU_RELRO ' "$segments"
ok 'all symbols bound at start (BIND_NOW)' has 'BIND_NOW|FLAGS_1.*NOW' "$dynamic"
ok 'stack not executable' has '^ +GNU_STACK .* RW +0x' "$segments"
ok 'nothing both writable and executable' lacks '^ +LOAD .* RWE ' "$segments"
ok 'no relocations in code (TEXTREL)' lacks 'TEXTREL' "$dynamic"
ok 'no library path of its own (RPATH)' lacks 'RPATH|RUNPATH' "$dynamic"
ok 'stack protector' has '__stack_chk_fail' "$symbols"
if [[ $kind == release ]]; then
    ok 'FORTIFY: checked memory functions' has '__(memcpy|memset|memmove|strcpy|strcat|strncpy)_chk' "$symbols"
    ok 'FORTIFY: checked printf' has '__(v?sn?printf|v?fprintf)_chk' "$symbols"
fi
if has 'Machine: +.*X86-64' "$header"; then
    code=$(objdump -d --no-show-raw-insn "$program")
    ok 'CET: functions are marked as targets' marked
    ok 'stack clash: large frames are probed' probes
fi
((failed == 0))
