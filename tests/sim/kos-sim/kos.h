/* KOS-Order simulator: what its files share. One thread. */
#ifndef KOS_H
#define KOS_H

#include "sim_exchange.h"
#include "sim_state.h"

#define KOS_CALLS_MAX    10000
#define KOS_ID_SIZE      200 /* requestId */
#define KOS_CODE_SIZE    64  /* product code */
#define KOS_OMIT         "$omit"
#define KOS_GENERATE_MAX 1000000

enum kos_operation { KOS_INQUIRY, KOS_LIST, KOS_CHANGE, KOS_OPERATIONS };
extern const char *const kos_operation_names[KOS_OPERATIONS + 1];

/* A product of the list. The strings *_json are JSON values as they go out; NULL = absent. */
struct kos_product {
    cJSON *json;
    const char *code; /* NULL = a product without a code */
    const char *operator_code;
    bool active;
    char *name_json, *fee_json, *data_json, *voice_json, *sms_json, *status_json;
};

struct kos_customer {
    char line[12];
    char status[32]; /* "" = not given */
    char inquiry_result[8];
    char order_result[8];
    bool answers_inactive; /* inquiry answers 0000 although the line is not active */
    const char *product;   /* code, interned; NULL = none */
    const char *name, *operator_code, *contract_date;
    char *id;
    cJSON *over; /* what the inquiry answers instead, by section and field */
};

/* One order that reached KOS, whether applied or not. */
struct kos_order {
    int64_t at_ms;
    const char *previous, *target;
    uint64_t number;
    char line[16];
    char result[8];
    bool applied;
    bool duplicate; /* recognised as a repeat: the first answer was given again */
    unsigned seen;  /* in the first order of a requestId: orders and applications so far */
    unsigned times_applied;
    char request_id[];
};

struct kos_call {
    int64_t at_ms;
    enum kos_operation operation;
    char request_id[KOS_ID_SIZE];
    char line[16];
    char x_request_id[136];
    char x_service_name[64];
    char traceparent[72];
    char content_type[48];
};

enum kos_failure_data { KOS_DATA_NULL, KOS_DATA_ABSENT, KOS_DATA_PRESENT };
enum kos_timestamps { KOS_TIME_LOCAL, KOS_TIME_ARRAY, KOS_TIME_ODD, KOS_TIME_NONE };

struct kos_settings {
    bool deduplicate;
    enum kos_failure_data failure_data;
    enum kos_timestamps timestamps;
};

struct kos {
    struct sim_faults faults;
    struct sim_state state;
    const char *data_path;
    long generate;
    size_t max_orders;
    struct kos_settings settings, initial;

    struct sim_map words; /* interned text */
    struct sim_map products;
    struct kos_product **product_list;
    size_t product_count;
    char *list_json; /* the array, NULL = to be made */
    struct sim_map customers;

    struct kos_order **orders;
    size_t order_count, order_size;
    struct sim_map by_request; /* requestId → its first order */
    uint64_t applied, applied_twice, duplicate_ids, last_number, last_trace;

    struct kos_call *calls; /* ring */
    uint64_t call_count;
    struct sim_stats stats[KOS_OPERATIONS];
};

/* catalogue.c: products and customers */
void kos_load(struct kos *k);   /* from data_path and generate; ends the program on a bad file */
void kos_unload(struct kos *k); /* products, customers */
const char *kos_intern(struct kos *k, const char *text);
/* Create or change from the members of `spec`; NULL and a sentence when it is wrong. */
struct kos_customer *kos_put_customer(struct kos *k, const char *line, const cJSON *spec, const char **error);
struct kos_product *kos_put_product(struct kos *k, const char *code, const cJSON *spec, const char **error);
const char *kos_list_json(struct kos *k);

/* orders.c: the record of orders, and the state file */
struct kos_order *kos_first_order(const struct kos *k, const char *request_id);
/* Records an order; an applied one changes the customer's product. NULL when the record is full. */
struct kos_order *kos_add_order(struct kos *k, const struct kos_order *order, const char *request_id);
void kos_order_number(const struct kos_order *o, char out[32]);
void kos_orders_json(const struct kos *k, struct sim_buf *out, const char *line, const char *request_id,
                     bool only_applied, size_t limit);
void kos_orders_clear(struct kos *k);
void kos_replay(void *app, cJSON *line); /* one line of the state file */
void kos_save_customer(struct kos *k, const char *line, const cJSON *spec);
void kos_save_product(struct kos *k, const char *code, const cJSON *spec);

/* answers.c: the JSON that KOS answers */
struct kos_shape { /* what an answer says; faults bend it */
    const char *code;
    const char *envelope_code;
    bool success;
    bool null_data;
    bool force_data;
    const char *request_id, *line, *target;
};
const char *kos_message(const char *code);
void kos_answer_failure(struct kos *k, struct sim_answer *out, unsigned status, const char *code);
void kos_answer_inquiry(struct kos *k, struct sim_answer *out, const struct kos_shape *s,
                        const struct kos_customer *c);
void kos_answer_list(struct kos *k, struct sim_answer *out, const struct kos_shape *s);
void kos_answer_change(struct kos *k, struct sim_answer *out, const struct kos_shape *s,
                       const struct kos_order *o);

/* operations.c, control.c: handlers; `app` is struct kos */
void kos_inquiry(void *app, struct sim_req *req);
void kos_list(void *app, struct sim_req *req);
void kos_change(void *app, struct sim_req *req);
extern const struct sim_route kos_routes[];

#endif
