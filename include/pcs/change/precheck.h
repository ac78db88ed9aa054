/* precheck.h - may this line change to this product? (UFR-PROD-030; CONTRACT.md 1, Validation). Pure
 * functions. */
#ifndef PCS_CHANGE_PRECHECK_H
#define PCS_CHANGE_PRECHECK_H

#include "pcs/product/product.h"

enum check { CHECK_PRODUCT_AVAILABLE, CHECK_OPERATOR_MATCH, CHECK_LINE_STATUS, CHECKS };

enum check_reason {
    CHECK_PASS,
    CHECK_UNKNOWN_PRODUCT,
    CHECK_NOT_ON_SALE,
    CHECK_OTHER_OPERATOR,
    CHECK_LINE_SUSPENDED,
    CHECK_LINE_TERMINATED,
    CHECK_LINE_UNKNOWN,
    CHECK_REASONS
};

struct precheck {
    enum check_reason reason[CHECKS];
};

extern const char *const check_names[CHECKS]; /* "PRODUCT_AVAILABLE", ... as the contract has them */

/* target: the catalogue's product, NULL when it has none of that code. customer: what KOS gave; NULL: unknown
 * line. */
struct precheck precheck_run(const struct product *target, const struct customer *customer,
                             const char *default_operator);
bool precheck_passed(const struct precheck *p);
/* The first check that failed, CHECKS when none. */
enum check precheck_first_failure(const struct precheck *p);

/* What the customer reads. */
const char *check_text(enum check check, enum check_reason reason, bool english);
/* [{checkType,result,message}, ...] */
void precheck_json(struct buf *out, const char *name, const struct precheck *p, bool english);
/* "PASS,OTHER_OPERATOR,PASS": what is kept, so that either language can be made from it. */
void precheck_encode(const struct precheck *p, char *out, size_t size);
bool precheck_decode(const char *text, struct precheck *out);
/* The sentences of the failed checks, joined by a space. */
void precheck_failure_text(struct buf *out, const struct precheck *p, bool english);

#endif
