/* The two reads: way in, headers, deadlines, retries, account (CONTRACT.md 2; DESIGN.md, Failure). */
#include "unit/product/rig.h"

struct heard {
    unsigned count;
    enum kos_read_answer answer;
    uint64_t retry_after_ns;
    size_t notes;
    char outcome[32], code[16], customer_id[32], reason[64];
    struct catalogue *catalogue;
};

static void hear(void *arg, const struct kos_read *read)
{
    struct heard *h = arg;
    h->count++;
    h->answer = read->answer;
    h->retry_after_ns = read->retry_after_ns;
    h->notes = read->note_count;
    snprintf(h->reason, sizeof h->reason, "%s", read->reason);
    if (read->note_count) {
        snprintf(h->outcome, sizeof h->outcome, "%s", read->notes[read->note_count - 1].outcome);
        snprintf(h->code, sizeof h->code, "%s", read->notes[read->note_count - 1].result_code);
    }
    if (read->customer && read->customer->customer_id) {
        snprintf(h->customer_id, sizeof h->customer_id, "%s", read->customer->customer_id);
    }
    if (read->catalogue) {
        h->catalogue = read->catalogue;
        h->catalogue->refs++;
    }
}

static void setup(void)
{
    rig_setup_loop();
}

static void breaker_counts(enum kos_operation op, uint64_t successes, uint64_t failures)
{
    struct breaker_snapshot s;
    breaker_snapshot(gates.gate[op].breaker, &s);
    ck_assert_uint_eq(s.successful, successes);
    ck_assert_uint_eq(s.failed, failures);
    struct bulkhead_snapshot b;
    bulkhead_snapshot(gates.gate[op].bulkhead, &b);
    ck_assert_uint_eq(b.in_flight, 0);
}

/* CONTRACT.md 2: request and headers of an inquiry; the answer never comes before the call returned */
START_TEST(inquiry)
{
    struct heard h = {0};
    rig_setup_kos(test_kos_config());
    ck_assert_ptr_nonnull(kos_inquiry(kos, LINE, &caller, 0, hear, &h));
    ck_assert_uint_eq(h.count, 0);
    ck_assert(rig_until(h.count, WAIT));
    ck_assert_int_eq(h.answer, KOS_READ_OK);
    ck_assert_str_eq(h.customer_id, "C1");
    ck_assert_str_eq(h.outcome, "ok");
    ck_assert_str_eq(h.code, "0000");
    const struct asked *a = &fake_kos.asked[0];
    ck_assert_str_eq(a->body, "{\"lineNumber\":\"" LINE "\",\"requestId\":\"corr-1\"}");
    ck_assert_ptr_nonnull(strstr(a->head, "POST /api/v1/kos/product/inquiry HTTP/1.1\r\n"));
    ck_assert_ptr_nonnull(strstr(a->head, "X-Request-ID: corr-1\r\n"));
    ck_assert_ptr_nonnull(strstr(a->head, "X-Service-Name: product-change-service\r\n"));
    ck_assert_ptr_nonnull(strstr(a->head, "Content-Type: application/json\r\n"));
    /* same trace, another span */
    ck_assert_ptr_nonnull(strstr(a->head, "traceparent: 00-0af7651916cd43dd8448eb211c80319c-"));
    ck_assert_ptr_null(strstr(a->head, "b7ad6b7169203331"));
    breaker_counts(KOS_INQUIRY, 1, 0);
    rig_teardown();
}
END_TEST

/* CONTRACT.md 2: within a change the requestId is the change's */
START_TEST(inquiry_of_a_change)
{
    struct heard h = {0};
    struct kos_caller c = caller;
    rig_setup_kos(test_kos_config());
    c.change_id = "019a0000-0000-7000-8000-0000000000ab";
    kos_inquiry(kos, LINE, &c, 0, hear, &h);
    ck_assert(rig_until(h.count, WAIT));
    ck_assert_ptr_nonnull(
        strstr(fake_kos.asked[0].body, "\"requestId\":\"019a0000-0000-7000-8000-0000000000ab\""));
    ck_assert_ptr_nonnull(strstr(fake_kos.asked[0].head, "X-Request-ID: corr-1\r\n"));
    rig_teardown();
}
END_TEST

START_TEST(list)
{
    struct heard h = {0};
    rig_setup_kos(test_kos_config());
    kos_list(kos, &caller, 0, hear, &h);
    ck_assert(rig_until(h.count, WAIT));
    ck_assert_int_eq(h.answer, KOS_READ_OK);
    ck_assert_uint_eq(h.catalogue->count, 2); /* the reference outlives the callback */
    ck_assert_ptr_nonnull(strstr(fake_kos.asked[0].head, "GET /api/v1/kos/product/list HTTP/1.1\r\n"));
    ck_assert_ptr_null(strstr(fake_kos.asked[0].head, "Content-Type"));
    catalogue_unref(h.catalogue);
    breaker_counts(KOS_LIST, 1, 0);
    rig_teardown();
}
END_TEST

/* CONTRACT.md 2, Reads: 9xxx counts; the customer's line stands in no log line */
START_TEST(failure_is_counted_and_logged)
{
    struct heard h = {0};
    char log[4096] = {0};
    int fds[2];
    double before = metric_value(kos_metrics[0], KOS_CALL_SYSTEM);
    rig_setup_kos(test_kos_config());
    ck_assert_int_eq(pipe(fds), 0);
    log_set_fd(fds[1]);
    log_set_threshold(LOG_LEVEL_WARN);
    fake_kos.says = system_error;
    kos_inquiry(kos, LINE, &caller, 0, hear, &h);
    ck_assert(rig_until(h.count, WAIT));
    log_set_threshold(LOG_LEVEL_OFF);
    log_set_fd(-1);
    ssize_t n = read(fds[0], log, sizeof log - 1);
    ck_assert_int_gt(n, 0);
    close(fds[0]);
    close(fds[1]);
    ck_assert_int_eq(h.answer, KOS_UNAVAILABLE);
    ck_assert_str_eq(h.outcome, "system_error");
    ck_assert_str_eq(h.code, "9999");
    ck_assert_uint_gt(h.retry_after_ns, 0);
    breaker_counts(KOS_INQUIRY, 0, 1);
    ck_assert(metric_value(kos_metrics[0], KOS_CALL_SYSTEM) == before + 1);
    ck_assert_ptr_nonnull(strstr(log, "\"event\":\"kos.call\""));
    ck_assert_ptr_nonnull(strstr(log, "\"operation\":\"inquiry\",\"outcome\":\"system_error\""));
    ck_assert_ptr_nonnull(strstr(log, "\"milliseconds\":"));
    ck_assert_ptr_null(strstr(log, "12345678"));
    ck_assert_ptr_null(strstr(log, "5678"));
    rig_teardown();
}
END_TEST

/* The breaker's word reaches the caller: nothing is sent, and how long it will be */
START_TEST(breaker_opens)
{
    struct heard h = {0};
    rig_setup_kos(test_kos_config());
    fake_kos.says = system_error;
    for (unsigned i = 0; i < 10; i++) {
        kos_inquiry(kos, LINE, &caller, 0, hear, &h);
        ck_assert(rig_until(h.count == i + 1, WAIT));
    }
    unsigned sent = fake_kos.total;
    kos_inquiry(kos, LINE, &caller, 0, hear, &h);
    ck_assert(rig_until(h.count == 11, WAIT));
    ck_assert_int_eq(h.answer, KOS_UNAVAILABLE);
    ck_assert_str_eq(h.reason, "breaker open");
    ck_assert_uint_gt(h.retry_after_ns, 5 * NS_PER_SEC);
    /* what was refused was no load, and earns no retry (issue 4, point 5) */
    kos->retry_tokens = 0;
    for (unsigned i = 0; i < 20; i++) {
        kos_inquiry(kos, LINE, &caller, 0, hear, &h);
    }
    ck_assert(rig_until(h.count == 31, WAIT));
    ck_assert(kos->retry_tokens < 0.1);
    ck_assert_uint_eq(h.notes, 0);
    ck_assert_uint_eq(fake_kos.total, sent);
    /* each operation has its own */
    kos_list(kos, &caller, 0, hear, &h);
    ck_assert(rig_until(h.count == 32, WAIT));
    ck_assert_str_eq(h.outcome, "system_error");
    rig_teardown();
}
END_TEST

/* Deadlines: the operation's own, and never later than the caller's */
START_TEST(deadlines)
{
    struct heard h = {0};
    struct kos_config c = test_kos_config();
    c.inquiry_deadline_ms = 150;
    rig_setup_kos(c);
    fake_kos.held = true;
    uint64_t start = clock_mono_ns();
    kos_inquiry(kos, LINE, &caller, in_ms(60000), hear, &h);
    ck_assert(rig_until(h.count, WAIT));
    uint64_t took = (clock_mono_ns() - start) / NS_PER_MS;
    ck_assert_uint_ge(took, 149);
    ck_assert_uint_lt(took, 1500);
    ck_assert_str_eq(h.outcome, "timeout");
    breaker_counts(KOS_INQUIRY, 0, 1);
    start = clock_mono_ns();
    kos_list(kos, &caller, in_ms(100), hear, &h);
    ck_assert(rig_until(h.count == 2, WAIT));
    ck_assert_uint_lt((clock_mono_ns() - start) / NS_PER_MS, 1500);
    ck_assert_str_eq(h.outcome, "timeout");
    rig_teardown();
}
END_TEST

/* DESIGN.md, Failure: calls in flight are bounded, and so is the queue behind them */
START_TEST(bulkhead)
{
    struct heard a = {0}, b = {0}, c = {0}, late = {0};
    struct kos_config config = test_kos_config();
    config.max_in_flight[KOS_INQUIRY] = 1;
    config.max_queue[KOS_INQUIRY] = 1;
    rig_setup_kos(config);
    fake_kos.held = true;
    kos_inquiry(kos, LINE, &caller, 0, hear, &a);
    ck_assert(rig_until(fake_kos.total == 1, WAIT));
    kos_inquiry(kos, LINE, &caller, 0, hear, &b);
    kos_inquiry(kos, LINE, &caller, 0, hear, &c);
    ck_assert(rig_until(c.count, WAIT));
    ck_assert_int_eq(c.answer, KOS_UNAVAILABLE);
    ck_assert_str_eq(c.reason, "bulkhead full");
    ck_assert_uint_eq(fake_kos.total, 1);
    kos_release();
    ck_assert(rig_until(a.count && fake_kos.total == 2, WAIT));
    kos_inquiry(kos, LINE, &caller, in_ms(100), hear, &late); /* queued behind b */
    ck_assert(rig_until(late.count, WAIT));
    ck_assert_str_eq(late.reason, "the deadline came in the queue");
    kos_release();
    ck_assert(rig_until(b.count, WAIT));
    ck_assert_int_eq(b.answer, KOS_READ_OK);
    breaker_counts(KOS_INQUIRY, 2, 0); /* waiting in the queue is nothing that KOS did */
    rig_teardown();
}
END_TEST

static unsigned failures_left;

static const char *fails_at_first(const struct asked *a, int *status)
{
    if (failures_left) {
        failures_left--;
        *status = 503;
        return "";
    }
    return healthy(a, status);
}

/* Retries: within the deadline and the budget; every attempt has its note and its count */
START_TEST(retry)
{
    struct heard h = {0};
    struct kos_config c = test_kos_config();
    c.read_retries = 1;
    rig_setup_kos(c);
    kos->retry_tokens = 1;
    fake_kos.says = fails_at_first;
    failures_left = 1;
    kos_inquiry(kos, LINE, &caller, 0, hear, &h);
    ck_assert(rig_until(h.count, WAIT));
    ck_assert_int_eq(h.answer, KOS_READ_OK);
    ck_assert_uint_eq(h.notes, 2);
    ck_assert_uint_eq(fake_kos.total, 2);
    breaker_counts(KOS_INQUIRY, 1, 1);

    kos->retry_tokens = 10;
    failures_left = 2; /* one retry, not two */
    kos_inquiry(kos, LINE, &caller, 0, hear, &h);
    ck_assert(rig_until(h.count == 2, WAIT));
    ck_assert_int_eq(h.answer, KOS_UNAVAILABLE);
    ck_assert_uint_eq(h.notes, 2);

    failures_left = 1; /* no time for another try */
    kos_inquiry(kos, LINE, &caller, in_ms(90), hear, &h);
    ck_assert(rig_until(h.count == 3, WAIT));
    ck_assert_int_eq(h.answer, KOS_UNAVAILABLE);
    ck_assert_uint_eq(h.notes, 1);
    rig_teardown();
}
END_TEST

/* A KOS in trouble never gets more than a fifth on top */
START_TEST(retry_budget)
{
    struct heard h = {0};
    struct kos_config c = test_kos_config();
    c.read_retries = 3;
    c.breaker_failure_rate = 100;
    c.breaker_window = c.breaker_minimum = 1000; /* the breaker is not asked here */
    rig_setup_kos(c);
    fake_kos.says = hang_up;
    for (unsigned i = 0; i < 50; i++) {
        kos_inquiry(kos, LINE, &caller, 0, hear, &h);
        ck_assert(rig_until(h.count == i + 1, WAIT));
    }
    ck_assert_uint_gt(fake_kos.total, 50);
    ck_assert_uint_le(fake_kos.total, 60);
    rig_teardown();
}
END_TEST

/* No callback after a cancel, in whatever state; slot and permit come back */
START_TEST(cancel)
{
    struct heard h = {0}, other = {0};
    struct kos_config c = test_kos_config();
    c.max_in_flight[KOS_INQUIRY] = 1;
    c.read_retries = 1;
    rig_setup_kos(c);
    kos_cancel(kos_inquiry(kos, LINE, &caller, 0, hear, &h)); /* at once */
    fake_kos.held = true;
    struct kos_request *calling = kos_inquiry(kos, LINE, &caller, 0, hear, &h);
    ck_assert(rig_until(fake_kos.total == 1, WAIT));
    struct kos_request *queued = kos_inquiry(kos, LINE, &caller, 0, hear, &h);
    rig_run(20);
    kos_cancel(queued);
    kos_cancel(calling);
    fake_kos.held = false;
    kos->retry_tokens = 1;
    fake_kos.says = hang_up;
    struct kos_request *pausing = kos_inquiry(kos, LINE, &caller, 0, hear, &h);
    ck_assert(rig_until(pausing->state == KOS_PAUSING, WAIT));
    kos_cancel(pausing);
    fake_kos.says = healthy;
    kos_inquiry(kos, LINE, &caller, 0, hear, &other);
    ck_assert(rig_until(other.count, WAIT));
    ck_assert_int_eq(other.answer, KOS_READ_OK);
    ck_assert_uint_eq(h.count, 0);
    breaker_counts(KOS_INQUIRY, 1, 1);
    rig_teardown();
}
END_TEST

/* Taken down while something is under way: everybody is told, once */
START_TEST(shutdown_tells)
{
    struct heard calling = {0}, queued = {0};
    struct kos_config c = test_kos_config();
    c.max_in_flight[KOS_INQUIRY] = 1;
    rig_setup_kos(c);
    fake_kos.held = true;
    kos_inquiry(kos, LINE, &caller, 0, hear, &calling);
    ck_assert(rig_until(fake_kos.total == 1, WAIT));
    kos_inquiry(kos, LINE, &caller, 0, hear, &queued);
    rig_run(10);
    rig_teardown();
    ck_assert_uint_eq(calling.count, 1);
    ck_assert_uint_eq(queued.count, 1);
    ck_assert_int_eq(calling.answer, KOS_UNAVAILABLE);
}
END_TEST

/* What an operator sees of the bulkheads on a scrape */
START_TEST(gauges)
{
    struct heard h = {0};
    struct buf out;
    rig_setup_kos(test_kos_config());
    fake_kos.says = system_error;
    for (unsigned i = 0; i < 11; i++) {
        kos_inquiry(kos, LINE, &caller, 0, hear, &h);
        ck_assert(rig_until(h.count == i + 1, WAIT));
    }
    kos_gates_collect(&gates);
    kos_gates_collect(&gates); /* a second scrape counts nothing twice */
    buf_init(&out, 1 << 20);
    metrics_print(&out);
    ck_assert_ptr_nonnull(strstr(out.data, "pcs_bulkhead_in_flight{bulkhead=\"kos.inquiry\"} 0\n"));
    buf_free(&out);
    rig_teardown();
}
END_TEST

int main(void)
{
    Suite *s = suite_create("kos_read");
    TCase *t = tcase_create("kos_read");
    tcase_set_timeout(t, 60);
    tcase_add_checked_fixture(t, setup, NULL);
    tcase_add_test(t, inquiry);
    tcase_add_test(t, inquiry_of_a_change);
    tcase_add_test(t, list);
    tcase_add_test(t, failure_is_counted_and_logged);
    tcase_add_test(t, breaker_opens);
    tcase_add_test(t, deadlines);
    tcase_add_test(t, bulkhead);
    tcase_add_test(t, retry);
    tcase_add_test(t, retry_budget);
    tcase_add_test(t, cancel);
    tcase_add_test(t, shutdown_tells);
    tcase_add_test(t, gauges);
    suite_add_tcase(s, t);
    return run_suite(s);
}
