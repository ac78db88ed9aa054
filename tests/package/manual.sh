#!/usr/bin/env bash
# The manual and the completion agree with the program: manual.sh PROGRAM PAGE_OF_SETTINGS
set -euo pipefail
program=$1 page5=$2
cd "$(dirname "$0")/../.."
page8=packaging/man/product-change-service.8
failed=0
complain() {
    echo "FAILED: $*"
    failed=1
}

# Every setting, in the page that is installed: it is made from the table, so this finds a page of another build.
while read -r name; do
    grep -qF -- "${name//-/\\-}" "$page5" || complain "$page5 does not have $name"
done < <("$program" --print-settings | sed -nE 's/^\| `([^`]+)` \| `([^`]+)`.*/\1\n\2/p')
cmp -s "$page5" <(packaging/man/yaml5.sh "$program") || complain "$page5 is not what the program's table gives"

# Every command, in the manual, the completion and the program; and no other.
mapfile -t commands < <(sed -nE 's/^    \{"([a-z-]+)", .*cli_.*/\1/p' src/main.c)
((${#commands[@]} > 8)) || complain "the commands of src/main.c cannot be read"
help=$("$program" --help)
for command in "${commands[@]}"; do
    grep -qE "^(\.B |\.BR )\"?${command//-/\\\\-}" "$page8" || complain "$page8 does not have $command"
    grep -qE "^  $command( |$)" <<<"$help" || complain "--help does not have $command"
done
. packaging/bash-completion/product-change-service
complete_words() { # WORD…: what is offered for the last one
    COMP_WORDS=(product-change-service "$@") COMP_CWORD=$#
    _product_change_service product-change-service "${!#}" "${COMP_WORDS[$(($# - 1))]}"
    echo "${COMPREPLY[*]}"
}
offered=$(complete_words '' | tr ' ' '\n' | grep -v '^--' | sort)
[[ $offered == "$(printf '%s\n' "${commands[@]}" | sort)" ]] || complain "the completion offers: $offered"
[[ $(complete_words settle --out) == --outcome ]] || complain "settle --out is not completed"
[[ $(complete_words --config x ret) == retire ]] || complain "a command behind an option is not completed"

# The options of a command are those that it takes.
for command in settle deliveries trace forget retire backup verify-history; do
    file=src/cli/cmd_${command%-history}.c
    for option in $(complete_words "$command" -- | tr ' ' '\n' | grep -vE '^--(json|socket|slot|config)$'); do
        grep -qE "\"${option#--}\"" "$file" src/cli/client.h || complain "$command has no $option"
    done
    for option in $(sed -nE 's/.*\{"([a-z-]+)", (no|required)_argument.*/\1/p' "$file"); do
        [[ $option == help ]] || complete_words "$command" "--$option" | grep -qF -- "--$option" || complain "the completion of $command lacks --$option"
        [[ $option == help ]] || grep -qF -- "\\-\\-${option//-/\\-}" "$page8" || complain "$page8 lacks --$option of $command"
    done
done

if command -v man >/dev/null; then
    for page in "$page8" "$page5"; do
        warnings=$(MANWIDTH=100 LC_ALL=C.UTF-8 man --warnings -l "$page" 2>&1 >/dev/null | grep -v 'cannot adjust line' || true)
        [[ -z $warnings ]] || complain "$page: $warnings"
    done
fi
((failed == 0)) && echo "the manual has ${#commands[@]} commands and every setting"
exit "$failed"
