# Rules about the source that compilers do not know. Each prints what breaks it and fails if anything does.

# Modules by level: a file may include its own module and levels below it, never its own level or above.
LAYERS='core / http call redis journal / identity product history delivery / change / api admin / cli'

# Calls with a better relative here: bounded, thread-safe, or able to report an error.
BANNED='strcpy strcat stpcpy sprintf vsprintf gets strtok atoi atol atoll atof alloca rand srand
    localtime gmtime ctime asctime setlocale tmpnam tempnam mktemp system popen vfork'

source_files() { # PLACES…: every C file there
    find "$@" -name '*.[ch]' -not -path '*/.*' 2>/dev/null | sort
}

layers_check() {
    source_files src include/pcs | xargs awk -v layers="$LAYERS" '
        BEGIN {
            count = split(layers, words, " ")
            for (i = 1; i <= count; i++)
                if (words[i] == "/") level++; else rank[words[i]] = level + 1
        }
        function module_of(path) { sub(/^(src|include\/pcs)\//, "", path); return path ~ /\// ? substr(path, 1, index(path, "/") - 1) : "main" }
        FNR == 1 { mine = module_of(FILENAME); if (mine != "main" && !(mine in rank)) { print FILENAME ": module " mine " has no level in dev.d/layers.sh"; bad = 1 } }
        /^[ \t]*#[ \t]*include[ \t]*"/ {
            name = $0; sub(/^[^"]*"/, "", name); sub(/".*/, "", name)
            private = name !~ /^pcs\//; sub(/^pcs\//, "", name)
            other = name ~ /\// ? substr(name, 1, index(name, "/") - 1) : mine
            if (mine == "main" || other == mine) next
            why = !(other in rank) ? "no such module" : private ? "a private header of " other : rank[other] >= rank[mine] ? other " is not below " mine : ""
            if (FILENAME ~ /^include/ && private) why = "a public header includes a private one"
            if (why != "") { printf "%s:%d: %s: %s\n", FILENAME, FNR, $0, why; bad = 1 }
        }
        END { exit bad }'
    ! grep -n '#[ \t]*include[ \t]*"pcs/' $(source_files tests/sim) /dev/null || {
        fail "the simulators share no code with the service"
        return 1
    }
}

# Comments and texts are taken out first, line numbers stay.
banned_check() {
    source_files src include | xargs perl -e '
        my %banned = map { $_ => 1 } split " ", shift; my $bad = 0;
        for my $file (@ARGV) {
            open my $in, "<", $file or die "$file: $!"; local $/; my $text = <$in>;
            $text =~ s{(/\*.*?\*/|//[^\n]*|"(?:\\.|[^"\\\n])*"|\x27(?:\\.|[^\x27\\\n])*\x27)}{ my $t = $1; my $n = $t =~ tr/\n//; ($t =~ /^"/ ? "\"\"" : " ") . "\n" x $n }gse;
            while ($text =~ /(?<![\w.>])(\w+)\s*\(/g) {
                next unless $banned{$1};
                my $line = 1 + (substr($text, 0, $-[0]) =~ tr/\n//);
                print "$file:$line: $1 is not used here (see dev.d/layers.sh)\n"; $bad = 1;
            }
        }
        exit $bad' "$BANNED"
}

# Nothing unfinished and nothing oversized (STYLE: files to 500 lines, headers to about 120).
shape_check() {
    local bad=0
    ! grep -nE '\b(TODO|FIXME|XXX|HACK)\b' $(source_files src include tests) || bad=1
    source_files src include | xargs awk '
        function check() { if (name != "" && lines > (name ~ /\.h$/ ? 220 : 520)) { print name ": " lines " lines"; bad = 1 } }
        FNR == 1 { check(); name = FILENAME }
        { lines = FNR }
        END { check(); exit bad }' || bad=1
    return "$bad"
}
