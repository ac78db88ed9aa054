/* The order: sent once, never again by itself, and told exactly what became of it (CONTRACT.md 2, Order). */
#include "unit/product/rig.h"

#define ID "019a0000-0000-7000-8000-0000000000ab"

struct heard {
    unsigned count;
    enum kos_order_answer answer;
    char code[16], message[64], number[32], outcome[32];
    int http_status;
};

static const struct kos_caller change_caller = {.correlation_id = "corr-1", .change_id = ID};

static void hear(void *arg, const struct kos_order *order)
{
    struct heard *h = arg;
    h->count++;
    h->answer = order->answer;
    snprintf(h->code, sizeof h->code, "%s", order->result_code);
    snprintf(h->message, sizeof h->message, "%s", order->result_message ? order->result_message : "");
    snprintf(h->number, sizeof h->number, "%s", order->kos_order_number ? order->kos_order_number : "");
    snprintf(h->outcome, sizeof h->outcome, "%s", order->note->outcome);
    h->http_status = order->note->http_status;
}

struct entered {
    unsigned count;
    enum gate_answer answer;
    struct gate_pass *pass;
};

static void on_entered(void *arg, enum gate_answer answer, struct gate_pass *pass, uint64_t wait_ns)
{
    struct entered *e = arg;
    (void)wait_ns;
    e->count++;
    e->answer = answer;
    e->pass = pass;
}

static struct gate_pass *pass(void)
{
    struct entered e = {0};
    ck_assert_ptr_nonnull(
        gate_enter(kos_gate(kos, KOS_CHANGE), &reactor, in_ms(1000), in_ms(6000), on_entered, &e));
    ck_assert(rig_until(e.count, WAIT));
    ck_assert_int_eq(e.answer, GATE_OPEN);
    return e.pass;
}

static void order(struct heard *h)
{
    *h = (struct heard){0};
    ck_assert_ptr_nonnull(kos_change(kos, pass(), LINE, "A", "B", &change_caller, hear, h));
    ck_assert_uint_eq(h->count, 0);
    ck_assert(rig_until(h->count, WAIT));
}

static void counted(uint64_t successes, uint64_t failures)
{
    struct breaker_snapshot s;
    struct bulkhead_snapshot b;
    breaker_snapshot(gates.gate[KOS_CHANGE].breaker, &s);
    bulkhead_snapshot(gates.gate[KOS_CHANGE].bulkhead, &b);
    ck_assert_uint_eq(s.successful, successes);
    ck_assert_uint_eq(s.failed, failures);
    ck_assert_uint_eq(b.in_flight, 0);
}

static const char *applied(const struct asked *a, int *status)
{
    (void)a;
    (void)status;
    return "{\"success\":true,\"resultCode\":\"0000\",\"data\":{\"requestId\":\"" ID
           "\",\"resultCode\":\"0000\","
           "\"changeInfo\":{\"lineNumber\":\"" LINE
           "\",\"newProductCode\":\"B\",\"kosOrderNumber\":\"K1\"}}}";
}

static const char *refused(const struct asked *a, int *status)
{
    (void)a;
    (void)status;
    return "{\"success\":false,\"resultCode\":\"2004\",\"resultMessage\":\"판매 중지\",\"data\":null}";
}

static const char *invalid(const struct asked *a, int *status)
{
    (void)a;
    *status = 400;
    return "{\"success\":false,\"resultCode\":\"9003\",\"data\":null}";
}

START_TEST(outcomes)
{
    struct heard h;
    rig_setup_kos(test_kos_config());
    fake_kos.says = applied;
    order(&h);
    ck_assert_int_eq(h.answer, KOS_APPLIED);
    ck_assert_str_eq(h.code, "0000");
    ck_assert_str_eq(h.number, "K1");
    ck_assert_str_eq(fake_kos.asked[0].body, "{\"lineNumber\":\"" LINE "\",\"currentProductCode\":\"A\","
                                             "\"targetProductCode\":\"B\",\"requestId\":\"" ID "\"}");
    ck_assert_ptr_nonnull(strstr(fake_kos.asked[0].head, "POST /api/v1/kos/product/change HTTP/1.1\r\n"));
    ck_assert_ptr_nonnull(strstr(fake_kos.asked[0].head, "X-Request-ID: corr-1\r\n"));
    ck_assert_ptr_nonnull(strstr(fake_kos.asked[0].head, "traceparent: 00-"));
    counted(1, 0);

    fake_kos.says = refused;
    order(&h);
    ck_assert_int_eq(h.answer, KOS_REFUSED);
    ck_assert_str_eq(h.code, "2004");
    ck_assert_str_eq(h.message, "판매 중지");
    counted(2, 0);

    fake_kos.says = invalid; /* our bug: refused, not counted */
    order(&h);
    ck_assert_int_eq(h.answer, KOS_REFUSED);
    ck_assert_str_eq(h.outcome, "invalid");
    ck_assert_int_eq(h.http_status, 400);
    counted(2, 0);

    fake_kos.says = system_error;
    order(&h);
    ck_assert_int_eq(h.answer, KOS_IN_DOUBT);
    ck_assert_str_eq(h.code, "9999");
    counted(2, 1);
    rig_teardown();
}
END_TEST

/* The body was read and the connection ended: in doubt, and KOS sees it once (PITFALLS.md 3) */
START_TEST(lost_is_in_doubt_and_not_repeated)
{
    struct heard h;
    rig_setup_kos(test_kos_config());
    fake_kos.says = applied;
    order(&h); /* leaves a connection that is reused */
    fake_kos.says = hang_up;
    order(&h);
    ck_assert_int_eq(h.answer, KOS_IN_DOUBT);
    ck_assert_str_eq(h.outcome, "lost");
    rig_run(100);
    ck_assert_uint_eq(fake_kos.count[KOS_CHANGE], 2);
    counted(1, 1);
    rig_teardown();
}
END_TEST

START_TEST(timeout_is_in_doubt)
{
    struct heard h;
    struct kos_config c = test_kos_config();
    c.change_deadline_ms = 150;
    rig_setup_kos(c);
    fake_kos.held = true;
    order(&h);
    ck_assert_int_eq(h.answer, KOS_IN_DOUBT);
    ck_assert_str_eq(h.outcome, "timeout");
    counted(0, 1);
    rig_teardown();
}
END_TEST

/* Nothing was written: 503, counted */
START_TEST(refused_connection_is_not_sent)
{
    struct heard h;
    rig_setup_kos(test_kos_config());
    fake_kos_stop();
    rig_run(10);
    order(&h);
    ck_assert_int_eq(h.answer, KOS_NOT_SENT);
    ck_assert_str_eq(h.outcome, "not_sent");
    ck_assert_str_eq(h.code, "");
    counted(0, 1);
    rig_teardown();
}
END_TEST

/* An order is not abandoned; when the process goes down it is in doubt */
START_TEST(shutdown_is_in_doubt)
{
    struct heard h = {0};
    rig_setup_kos(test_kos_config());
    fake_kos.held = true;
    kos_change(kos, pass(), LINE, "A", "B", &change_caller, hear, &h);
    ck_assert(rig_until(fake_kos.total == 1, WAIT));
    rig_teardown();
    ck_assert_uint_eq(h.count, 1);
    ck_assert_int_eq(h.answer, KOS_IN_DOUBT);
    ck_assert_str_eq(h.outcome, "abandoned");
}
END_TEST

int main(void)
{
    Suite *s = suite_create("kos_order");
    TCase *t = tcase_create("kos_order");
    tcase_set_timeout(t, 60);
    tcase_add_checked_fixture(t, rig_setup_loop, NULL);
    tcase_add_test(t, outcomes);
    tcase_add_test(t, lost_is_in_doubt_and_not_repeated);
    tcase_add_test(t, timeout_is_in_doubt);
    tcase_add_test(t, refused_connection_is_not_sent);
    tcase_add_test(t, shutdown_is_in_doubt);
    suite_add_tcase(s, t);
    return run_suite(s);
}
