/* config_print.c - the tables for people: --help, the README's table, --print-config. */
#include "core/config_internal.h"

#include <stdio.h>
#include <string.h>

#define HELP_COLUMNS 110
#define HELP_INDENT  4
#define NAME_COLUMN  36

static const char *type_name(enum config_type type)
{
    switch (type) {
    case CONFIG_TEXT:
        return "text";
    case CONFIG_INT:
        return "whole number";
    case CONFIG_BOOL:
        return "true or false";
    case CONFIG_DURATION:
        return "duration";
    case CONFIG_SIZE:
        return "size";
    case CONFIG_PERCENT:
        return "percentage";
    case CONFIG_ENUM:
        return "choice";
    case CONFIG_LIST:
        return "list";
    }
    return "";
}

static const char *default_shown(const struct config_setting *s)
{
    return !s->default_text ? "none" : !*s->default_text ? "empty" : s->secret ? "***" : s->default_text;
}

/* ---- --help ---- */

/* Writes text indented and wrapped at blanks. */
static void print_wrapped(struct buf *out, const char *text)
{
    size_t column = 0;
    while (*(text += strspn(text, " "))) {
        size_t word = strcspn(text, " ");
        if (column > 0 && column + 1 + word > HELP_COLUMNS) {
            buf_putc(out, '\n');
            column = 0;
        }
        if (column == 0) {
            buf_printf(out, "%*s", HELP_INDENT, "");
            column = HELP_INDENT;
        } else {
            buf_putc(out, ' ');
            column++;
        }
        buf_put(out, text, word);
        column += word;
        text += word;
    }
    buf_putc(out, '\n');
}

static void print_help_setting(struct buf *out, const struct config_setting *s)
{
    char env[ENV_SIZE], range[WHY_SIZE];
    struct buf facts;
    value_range(s, range, sizeof range);
    buf_printf(out, "  %-*s %s%s\n", NAME_COLUMN, s->name, setting_env(s, env),
               s->secret ? ", also _FILE" : "");
    print_wrapped(out, s->help);
    buf_init(&facts, 4096);
    buf_printf(&facts, "%s%s%s; ", type_name(s->type), *range ? ", " : "", range);
    buf_printf(&facts, s->default_text ? "default %s; " : "required; ", default_shown(s));
    buf_puts(&facts, s->reloadable ? "taken over on SIGHUP" : "needs a restart");
    print_wrapped(out, facts.data ? facts.data : "");
    buf_free(&facts);
}

void config_print_help(const struct config_section *const *sections, size_t count, struct buf *out)
{
    for (size_t i = 0; i < count; i++) {
        buf_printf(out, "%s%s\n", i ? "\n" : "", sections[i]->module);
        for (size_t j = 0; j < sections[i]->count; j++) {
            print_help_setting(out, &sections[i]->settings[j]);
        }
    }
}

/* ---- README ---- */

static void print_cell(struct buf *out, const char *text)
{
    buf_lit(out, " ");
    for (; *text; text++) {
        if (*text == '|') {
            buf_putc(out, '\\');
        }
        buf_putc(out, *text);
    }
    buf_lit(out, " |");
}

static void print_code_cell(struct buf *out, const char *text)
{
    buf_lit(out, " `");
    buf_puts(out, text);
    buf_lit(out, "` |");
}

void config_print_markdown(const struct config_section *const *sections, size_t count, struct buf *out)
{
    char env[ENV_SIZE], range[WHY_SIZE];
    buf_lit(out, "| Setting | Environment | Type | Default | Range | Reload | Meaning |\n");
    buf_lit(out, "|---|---|---|---|---|---|---|\n");
    for (size_t i = 0; i < count; i++) {
        for (size_t j = 0; j < sections[i]->count; j++) {
            const struct config_setting *s = &sections[i]->settings[j];
            value_range(s, range, sizeof range);
            buf_lit(out, "|");
            print_code_cell(out, s->name);
            print_code_cell(out, setting_env(s, env));
            print_cell(out, s->secret ? "secret text" : type_name(s->type));
            if (s->default_text && *s->default_text && !s->secret) {
                print_code_cell(out, s->default_text);
            } else {
                print_cell(out, s->default_text ? default_shown(s) : "**required**");
            }
            print_cell(out, *range ? range : "-");
            print_cell(out, s->reloadable ? "yes" : "no");
            print_cell(out, s->help);
            buf_lit(out, "\n");
        }
    }
}

/* ---- --print-config ---- */

void config_print_values(const struct config *c, struct buf *out)
{
    for (size_t i = 0; i < c->entry_count; i++) {
        const struct entry *e = &c->entries[i];
        bool quoted = e->setting->type == CONFIG_TEXT || e->setting->type == CONFIG_LIST;
        if (e->setting->secret && *e->text) {
            buf_printf(out, "# %s: ***", e->setting->name); /* a comment: nobody's password becomes "***" */
        } else {
            buf_printf(out, "%s: ", e->setting->name);
            if (quoted) {
                buf_json_text(out, e->text, strlen(e->text));
            } else {
                buf_puts(out, e->text);
            }
        }
        buf_printf(out, "  # %s\n", e->origin);
    }
}
