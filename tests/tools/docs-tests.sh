#!/usr/bin/env bash
# What documents name exists: tests, metrics, files, and functions in the files that they are said to be in. And both
# READMEs tell the same commands.
set -euo pipefail
root=$1 bad=0
wrong() {
    echo "$1"
    bad=1
}
for name in $(grep -ohE '`test_[a-z0-9_]+`' "$root"/docs/*.md | tr -d '`' | sort -u); do
    grep -rqE "def $name\(|START_TEST\($name\)" "$root/tests" || wrong "docs name $name, which no test is called"
done
for metric in $(grep -ohE '`pcs_[a-z_]+' "$root/docs/operations.md" | tr -d '`' | sort -u); do
    grep -rqE "\"$metric\"|# TYPE $metric " "$root/src" || wrong "docs/operations.md names $metric, which no module declares"
done

# Files, in code marks or indented text. Words in capitals and stars stand for something.
for document in README.md README.ko.md docs/architecture.md docs/local-stack.md docs/threat-model.md; do
    for path in $(grep -oE '(^|[ `(])(src|include|tests|docs|docker|dev\.d|config|sql|packaging)/[A-Za-z0-9_./*-]+' "$root/$document" |
        tr -d ' `(' | sed 's/[.,]$//' | grep -vE '[A-Z]{3,}|^docker/secrets' | sort -u); do
        compgen -G "$root/$path" >/dev/null || wrong "$document names $path, which does not exist"
    done
done

# `name()` in `file`; several names before one file, and `name()` alone means the file named next in the same paragraph.
perl -e '
    undef $/; my $root = shift; open my $in, "<", "$root/docs/architecture.md" or die $!; my $text = <$in>; my $bad = 0; my $seen = 0;
    for my $part (split /\n\s*\n|\n\|/, $text) {
        my @wait;
        while ($part =~ /`([a-z_][a-z0-9_]*)\(\)`|`((?:src|include)\/[a-z0-9_\/]+\.[ch])`/g) {
            if ($1) { push @wait, $1; next }
            my $file = $2; next unless @wait;
            open my $f, "<", "$root/$file" or do { print "docs/architecture.md names $file, which does not exist\n"; $bad = 1; @wait = (); next };
            my $source = <$f>;
            for my $name (@wait) {
                $seen++;
                next if $source =~ /^[a-z][^;\n=]*\b$name\(/m;
                print "docs/architecture.md: no function $name() in $file\n"; $bad = 1;
            }
            @wait = ();
        }
        # names after their file, in brackets: looked for anywhere below src
        for my $name (@wait) {
            $seen++;
            next if `grep -rlE "^[a-z][^;=]*\\b$name\\(" "$root/src" | head -n 1`;
            print "docs/architecture.md: no function $name() anywhere\n"; $bad = 1;
        }
    }
    if ($seen < 30) { print "docs/architecture.md: only $seen functions found; is the test still reading it?\n"; $bad = 1 }
    exit $bad' "$root" || bad=1
for word in legal_next api_routes; do
    grep -rqE "\b$word\b" "$root/src" || wrong "docs/architecture.md names $word, which is nowhere"
done

# The commands of both READMEs, without their comments.
commands() { awk '/^```sh/ { on = 1; next } /^```/ { on = 0 } on' "$1" | sed -E 's/ +#.*//; s/^#.*//' | grep -v '^ *$'; }
diff <(commands "$root/README.md") <(commands "$root/README.ko.md") || wrong "README.md and README.ko.md tell different commands"
exit "$bad"
