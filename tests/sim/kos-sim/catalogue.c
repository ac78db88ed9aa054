/* Products and customers of the KOS simulator: from the data file, generated, or put at run time. */
#include "kos.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define FIRST_GENERATED 1010000000L /* line 01010000000 */

const char *kos_intern(struct kos *k, const char *text)
{
    char *word;

    if (!text)
        return NULL;
    word = sim_map_get(&k->words, text);
    if (!word) {
        word = sim_strdup(text);
        sim_map_put(&k->words, word, word);
    }
    return word;
}

static char *member_json(const cJSON *object, const char *name)
{
    const cJSON *item = cJSON_GetObjectItemCaseSensitive(object, name);

    return item ? cJSON_PrintUnformatted(item) : NULL;
}

static void product_texts_free(struct kos_product *p)
{
    free(p->name_json);
    free(p->fee_json);
    free(p->data_json);
    free(p->voice_json);
    free(p->sms_json);
    free(p->status_json);
}

static void product_texts(struct kos *k, struct kos_product *p)
{
    product_texts_free(p);
    p->code = kos_intern(k, sim_json_text(p->json, "product_code", NULL));
    p->operator_code = kos_intern(k, sim_json_text(p->json, "operator_code", NULL));
    p->active = strcmp(sim_json_text(p->json, "status", ""), "ACTIVE") == 0;
    p->name_json = member_json(p->json, "product_name");
    p->fee_json = member_json(p->json, "monthly_fee");
    p->data_json = member_json(p->json, "data_allowance");
    p->voice_json = member_json(p->json, "voice_allowance");
    p->sms_json = member_json(p->json, "sms_allowance");
    p->status_json = member_json(p->json, "status");
    free(k->list_json);
    k->list_json = NULL;
}

static struct kos_product *add_product(struct kos *k, cJSON *json)
{
    struct kos_product *p = sim_alloc(sizeof *p);

    p->json = json;
    product_texts(k, p);
    k->product_list = sim_realloc(k->product_list, (k->product_count + 1) * sizeof(struct kos_product *));
    k->product_list[k->product_count++] = p;
    if (p->code)
        sim_map_put(&k->products, p->code, p);
    return p;
}

struct kos_product *kos_put_product(struct kos *k, const char *code, const cJSON *spec, const char **error)
{
    struct kos_product *p = sim_map_get(&k->products, code);
    const cJSON *item;

    if (!*code || strlen(code) >= KOS_CODE_SIZE) {
        *error = "the product code is empty or too long";
        return NULL;
    }
    if (!p) {
        cJSON *json = cJSON_CreateObject();

        cJSON_AddStringToObject(json, "product_code", code);
        p = add_product(k, json);
    }
    cJSON_ArrayForEach(item, spec)
    {
        if (strcmp(item->string, "product_code") == 0)
            continue;
        cJSON_DeleteItemFromObjectCaseSensitive(p->json, item->string);
        cJSON_AddItemToObject(p->json, item->string, cJSON_Duplicate(item, 1));
    }
    sim_json_raw(p->json);
    product_texts(k, p);
    return p;
}

const char *kos_list_json(struct kos *k)
{
    struct sim_buf b = {0};
    size_t i;

    if (k->list_json)
        return k->list_json;
    sim_buf_str(&b, "[");
    for (i = 0; i < k->product_count; i++) {
        char *text = cJSON_PrintUnformatted(k->product_list[i]->json);

        sim_buf_fmt(&b, "%s%s", i ? "," : "", text);
        free(text);
    }
    sim_buf_str(&b, "]");
    k->list_json = b.data;
    return k->list_json;
}

static bool is_line(const char *line)
{
    return strlen(line) == 11 && strncmp(line, "010", 3) == 0 && strspn(line, "0123456789") == 11;
}

static void set_word(struct kos *k, const cJSON *spec, const char *name, const char **word)
{
    const cJSON *item = cJSON_GetObjectItemCaseSensitive(spec, name);

    if (item)
        *word = kos_intern(k, cJSON_IsString(item) ? item->valuestring : NULL);
}

static void set_text(const cJSON *spec, const char *name, char *out, size_t size)
{
    const cJSON *item = cJSON_GetObjectItemCaseSensitive(spec, name);

    if (item)
        sim_copy(out, size, cJSON_IsString(item) ? item->valuestring : "");
}

struct kos_customer *kos_put_customer(struct kos *k, const char *line, const cJSON *spec, const char **error)
{
    struct kos_customer *c = sim_map_get(&k->customers, line);
    const cJSON *over = cJSON_GetObjectItemCaseSensitive(spec, "inquiry");
    const char *id = sim_json_text(spec, "customerId", NULL);

    if (!is_line(line)) {
        *error = "the line number must be 010 and eight digits";
        return NULL;
    }
    if (!c) {
        c = sim_alloc(sizeof *c);
        sim_copy(c->line, sizeof c->line, line);
        sim_copy(c->status, sizeof c->status, "ACTIVE");
        sim_map_put(&k->customers, c->line, c);
    }
    if (id || !c->id) {
        free(c->id);
        c->id = sim_strdup(id ? id : "CUST-UNNAMED");
    }
    set_word(k, spec, "customerName", &c->name);
    set_word(k, spec, "operatorCode", &c->operator_code);
    set_word(k, spec, "contractDate", &c->contract_date);
    set_word(k, spec, "productCode", &c->product);
    set_text(spec, "lineStatus", c->status, sizeof c->status);
    set_text(spec, "inquiryResult", c->inquiry_result, sizeof c->inquiry_result);
    set_text(spec, "orderResult", c->order_result, sizeof c->order_result);
    c->answers_inactive = sim_json_bool(spec, "answersInactive", c->answers_inactive);
    if (over) {
        cJSON_Delete(c->over);
        c->over = cJSON_IsObject(over) ? cJSON_Duplicate(over, 1) : NULL;
        sim_json_raw(c->over);
    }
    return c;
}

static void generate(struct kos *k, const cJSON *how)
{
    const cJSON *products = cJSON_GetObjectItemCaseSensitive(how, "products");
    int kinds = cJSON_GetArraySize(products);
    long i;

    if (k->generate && kinds < 1)
        sim_die("data file %s: generate.products is needed for --generate", k->data_path);
    for (i = 0; i < k->generate; i++) {
        const cJSON *product = cJSON_GetArrayItem(products, (int)(i % kinds));
        struct kos_customer *c;
        char text[32];

        snprintf(text, sizeof text, "0%010ld", FIRST_GENERATED + i);
        if (sim_map_get(&k->customers, text))
            continue;
        c = sim_alloc(sizeof *c);
        sim_copy(c->line, sizeof c->line, text);
        sim_copy(c->status, sizeof c->status, "ACTIVE");
        snprintf(text, sizeof text, "CUST%07ld", i);
        c->id = sim_strdup(text);
        c->name = kos_intern(k, "김고객");
        c->operator_code = kos_intern(k, sim_json_text(how, "operatorCode", NULL));
        c->contract_date = kos_intern(k, "2023-03-01");
        c->product = kos_intern(k, cJSON_IsString(product) ? product->valuestring : NULL);
        sim_map_put(&k->customers, c->line, c);
    }
}

void kos_load(struct kos *k)
{
    cJSON *tree = sim_json_load(k->data_path);
    const cJSON *products = cJSON_GetObjectItemCaseSensitive(tree, "products");
    const cJSON *customers = cJSON_GetObjectItemCaseSensitive(tree, "customers");
    const cJSON *item;
    const char *error = NULL;

    if (!cJSON_IsArray(products) || !cJSON_IsArray(customers))
        sim_die("data file %s: needs the arrays products and customers", k->data_path);
    cJSON_ArrayForEach(item, products)
    {
        cJSON *json = cJSON_Duplicate(item, 1);

        sim_json_raw(json);
        add_product(k, json);
    }
    cJSON_ArrayForEach(item, customers)
    {
        if (!kos_put_customer(k, sim_json_text(item, "lineNumber", ""), item, &error))
            sim_die("data file %s: customer %s: %s", k->data_path, sim_json_text(item, "lineNumber", "?"),
                    error);
    }
    generate(k, cJSON_GetObjectItemCaseSensitive(tree, "generate"));
    cJSON_Delete(tree);
}

static void free_customers(struct kos *k)
{
    size_t at = 0;
    struct kos_customer *c;

    while ((c = sim_map_next(&k->customers, &at))) {
        cJSON_Delete(c->over);
        free(c->id);
        free(c);
    }
    sim_map_free(&k->customers);
}

void kos_unload(struct kos *k)
{
    size_t i;
    size_t at = 0;
    char *word;

    free_customers(k);
    for (i = 0; i < k->product_count; i++) {
        cJSON_Delete(k->product_list[i]->json);
        product_texts_free(k->product_list[i]);
        free(k->product_list[i]);
    }
    free(k->product_list);
    k->product_list = NULL;
    k->product_count = 0;
    free(k->list_json);
    k->list_json = NULL;
    sim_map_free(&k->products);
    while ((word = sim_map_next(&k->words, &at)))
        free(word);
    sim_map_free(&k->words);
}
