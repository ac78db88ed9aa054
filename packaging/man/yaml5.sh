#!/bin/sh
# product-change-service.yaml(5) from the program's own table of settings: yaml5.sh PROGRAM > product-change-service.yaml.5
set -eu
"$1" --print-settings | awk -F ' *[|] *' '
function roff(text) { gsub(/\\/, "\\e", text); gsub(/-/, "\\-", text); gsub(/`/, "", text); gsub(/\*\*/, "", text); if (text ~ /^[.\x27]/) text = "\\&" text; return text }
BEGIN {
    print ".TH PRODUCT\\-CHANGE\\-SERVICE.YAML 5 \"\" \"product\\-change\\-service\" \"File formats\""
    print ".SH NAME\nproduct\\-change\\-service.yaml \\- settings of product\\-change\\-service(8)"
    print ".SH DESCRIPTION\nA YAML file of groups and settings; the setting"
    print ".I group.name\nis the member\n.I name\nof\n.IR group ."
    print "Each has a name in the environment too, which overrides the file. A secret can also come from the file that"
    print ".IR NAME _FILE\nnames. Durations are written 250ms, 3s, 10m, 4h, 30d; sizes 64KiB, 1MiB, 8GiB. An unknown member is an error."
    print "Check a file with\n.BR \"product\\-change\\-service \\-\\-config FILE \\-\\-check\\-config\" ."
    print "Settings marked\n.I reload\nare taken over on SIGHUP, the others at the next start."
    print ".SH EXAMPLE\n.nf\nserver:\n  port: 8083\nkos:\n  base_url: https://kos.example.net\ndb:\n  host: db.example.net\n  sslmode: verify\\-full\n.fi"
    print ".SH SETTINGS"
}
$2 ~ /^`/ {
    name = $2; gsub(/`/, "", name)
    group = substr(name, 1, index(name, ".") - 1)
    # the members of a group may stand apart in the table: they are put together
    if (!(group in body)) order[++groups] = group
    body[group] = body[group] ".TP\n.BR " roff(name) " \\ (" roff($3) ")\n" roff($8) "\n.br\n" roff($4) \
        ($6 != "-" && $6 != "" ? ", " roff($6) : "") "; default " roff($5) ($7 == "yes" ? "; reload" : "") ".\n"
}
END {
    for (i = 1; i <= groups; i++) printf ".SS %s\n%s", order[i], body[order[i]]
    print ".SH SEE ALSO\n.BR product\\-change\\-service (8)"
}'
