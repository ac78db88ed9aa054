/* catalogue.c - the products on sale and not, in KOS's order, with their ready-made JSON. */
#include "product/catalogue.h"

#include <stdlib.h>
#include <string.h>

struct catalogue *catalogue_new(size_t capacity)
{
    struct catalogue *c = calloc(1, sizeof *c);
    if (!c) {
        return NULL;
    }
    c->refs = 1;
    c->capacity = capacity;
    arena_init(&c->arena, NULL, 0, CATALOGUE_BYTES_MAX);
    c->products = arena_alloc(&c->arena, capacity * sizeof *c->products);
    c->json = arena_alloc(&c->arena, capacity * sizeof *c->json);
    if (!c->products || !c->json) {
        catalogue_unref(c);
        return NULL;
    }
    return c;
}

void catalogue_unref(struct catalogue *c)
{
    if (c && --c->refs == 0) {
        arena_free(&c->arena);
        free(c);
    }
}

/* False only without memory; an absent text stays absent. */
static bool keep(struct arena *a, const char **text)
{
    if (*text) {
        *text = arena_strdup(a, *text);
        return *text != NULL;
    }
    return true;
}

bool catalogue_add(struct catalogue *c, const struct product *p)
{
    struct product copy = *p;
    struct arena *a = &c->arena;
    if (c->count == c->capacity || !keep(a, &copy.code) || !keep(a, &copy.name) ||
        !keep(a, &copy.data_allowance) || !keep(a, &copy.voice_allowance) || !keep(a, &copy.sms_allowance) ||
        !keep(a, &copy.operator_code) || !keep(a, &copy.network_type) || !keep(a, &copy.description)) {
        return false;
    }
    struct buf json;
    buf_init(&json, CATALOGUE_BYTES_MAX);
    product_json(&json, &copy);
    const char *text = buf_ok(&json) ? arena_strndup(a, json.data, json.len) : NULL;
    buf_free(&json);
    if (!text) {
        return false;
    }
    c->products[c->count] = copy;
    c->json[c->count++] = text;
    return true;
}

const struct product *catalogue_find(const struct catalogue *c, const char *code)
{
    for (size_t i = 0; i < c->count; i++) {
        if (strcmp(c->products[i].code, code) == 0) {
            return &c->products[i];
        }
    }
    return NULL;
}

static void complete_text(const char **text, const char *from)
{
    if (!*text) {
        *text = from;
    }
}

bool product_complete(struct product *p, const struct catalogue *c)
{
    const struct product *known = catalogue_find(c, p->code);
    if (!known) {
        return product_is_complete(p);
    }
    complete_text(&p->name, known->name);
    complete_text(&p->data_allowance, known->data_allowance);
    complete_text(&p->voice_allowance, known->voice_allowance);
    complete_text(&p->sms_allowance, known->sms_allowance);
    complete_text(&p->operator_code, known->operator_code);
    complete_text(&p->network_type, known->network_type);
    complete_text(&p->description, known->description);
    if (p->monthly_fee == PRODUCT_FEE_MISSING) {
        p->monthly_fee = known->monthly_fee;
    }
    if (!p->availability_given) {
        p->available = known->available;
    }
    return product_is_complete(p);
}
