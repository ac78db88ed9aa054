# config/product-change-service.yaml is made from the program's own table of settings: ./dev example

# Markdown rows (| `name` | `ENV` | type | default | range | reload | meaning |) to a commented YAML file.
example_print() {
    build/product-change-service --print-settings | awk -F ' *[|] *' '
        BEGIN {
            print "# product-change-service: every setting with its default. Printed by ./dev example, checked by ./dev check."
            print "#"
            print "# What is commented out has the value shown. The environment overrides this file: the name in brackets; a secret"
            print "# is better given there, or in a file named by <NAME>_FILE. \"reload\": taken over on SIGHUP."
            print "# Start with this file:  product-change-service --config config/product-change-service.yaml"
            print "# See what is in force:  product-change-service --config … --print-config"
        }
        $2 ~ /^`/ {
            name = $2; env = $3; type = $4; value = $5; range = $6; reload = $7; help = $8
            gsub(/`/, "", name); gsub(/`/, "", env)
            required = value ~ /required/
            gsub(/[`*]/, "", value)
            dot = index(name, "."); group = substr(name, 1, dot - 1); key = substr(name, dot + 1)
            if (group != last) {
                # A group comes once in a file, so its settings are put together though their modules differ.
                if (!(group in body)) order[++groups] = group
                last = group
            }
            about = "  # " help "\n  # " type (range != "-" && range != "" ? ", " range : "") (required ? ", required" : "") (reload == "yes" ? "; reload" : "") " [" env "]\n"
            if (name == "kos.base_url") line = "  " key ": http://127.0.0.1:18080\n"
            else if (value == "empty" || required) line = "  #" key ":\n"
            else line = "  #" key ": " value "\n"
            body[group] = body[group] (body[group] == "" ? "" : "\n") about line
        }
        END { for (i = 1; i <= groups; i++) printf "\n%s:\n%s", order[i], body[order[i]] }'
}

example_command() {
    deps_ensure build
    build gcc product-change-service >&2
    example_print
}
