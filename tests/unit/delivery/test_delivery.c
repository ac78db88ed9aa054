/* Telling MVNO AP: what is sent, in which order, and what each answer means (UFR-PROD-040, CONTRACT.md 3). */
#include "rig.h"

static const char *header(const cJSON *event, const char *name)
{
    const cJSON *value = cJSON_GetObjectItem(json_object(event, "headers"), name); /* in any case */
    return cJSON_IsString(value) ? value->valuestring : "";
}

START_TEST(contract_3_event_arrives_signed_with_its_headers)
{
    struct delivery_config config = test_config();
    delivery_start(&config);
    make_events(1, 1);
    ck_assert(rig_until(all_delivered(), 10000));
    sim_is_content();
    cJSON *tree = sim_ask("GET", "/_sim/events", NULL);
    const cJSON *event = cJSON_GetArrayItem(json_array(tree, "events"), 0);
    bool verified = false;
    ck_assert(json_bool(event, "verified", &verified) && verified);
    ck_assert_str_eq(header(event, "Content-Type"), "application/json");
    ck_assert_str_eq(header(event, "X-Service-Name"), "product-change-service");
    ck_assert_str_eq(header(event, "webhook-id"), json_text(json_object(event, "body"), "eventId"));
    ck_assert_str_eq(header(event, "X-Request-ID"), json_text(json_object(event, "body"), "requestId"));
    const char *trace = header(event, "traceparent"); /* the change's trace, a span of its own */
    ck_assert_int_eq(strncmp(trace, "00-0af7651916cd43dd8448eb211c80319c-", 36), 0);
    ck_assert_int_ne(strncmp(trace + 36, "b7ad6b7169203331", 16), 0);
    cJSON_Delete(tree);
    ck_assert(delivery_up(delivery));
}
END_TEST

START_TEST(contract_3_events_of_a_line_arrive_in_order)
{
    struct delivery_config config = test_config();
    delivery_start(&config);
    make_events(20, 10);
    ck_assert(rig_until(all_delivered(), 20000));
    in_order(20, 10);
    sim_is_content();
    ck_assert_int_eq(sim_stat("duplicates"), 0);
    ck_assert_int_eq(metric_value(&delivery_metric_in_flight, 0), 0);
}
END_TEST

/* Random answers, silences and broken connections: order per line, nothing lost, repeats with the same id. */
START_TEST(contract_3_order_survives_failures)
{
    struct delivery_config config = test_config();
    config.deadline_ms = 150;
    sim_fault("{\"operation\":\"results\",\"kind\":\"http_status\",\"status\":500,\"rate\":0.1}");
    sim_fault("{\"operation\":\"results\",\"kind\":\"reset\",\"phase\":\"after\",\"rate\":0.1}");
    sim_fault("{\"operation\":\"results\",\"kind\":\"reset_mid_body\",\"rate\":0.1}");
    sim_fault("{\"operation\":\"results\",\"kind\":\"hang\",\"phase\":\"after\",\"rate\":0.03}");
    sim_fault("{\"operation\":\"results\",\"kind\":\"close\",\"rate\":0.1}");
    delivery_start(&config);
    make_events(10, 10);
    rig_run(1000);
    ck_assert_int_gt((int)(attempts_made() - attempts_of(POST_DELIVERED)), 0);
    sim_no_faults();
    ck_assert(rig_until(all_delivered(), 30000));
    in_order(10, 10);
    sim_is_content();
    ck_assert_int_eq(journal_now().events_dead, 0);
}
END_TEST

static const int dead_statuses[] = {400, 410, 422};

START_TEST(contract_3_400_410_422_are_dead_letters_and_the_line_goes_on)
{
    char fault[128];
    unsigned numbers[4];
    struct delivery_config config = test_config();
    double dead = attempts_of(POST_DEAD);
    snprintf(fault, sizeof fault,
             "{\"operation\":\"results\",\"kind\":\"http_status\",\"status\":%d,\"count\":1}",
             dead_statuses[_i]);
    sim_fault(fault);
    make_events(1, 3);
    delivery_start(&config);
    ck_assert(rig_until(all_delivered(), 10000));
    ck_assert_int_eq(journal_now().events_dead, 1);
    ck_assert_int_eq((int)(attempts_of(POST_DEAD) - dead), 1);
    ck_assert_uint_eq(accepted("01000000000", numbers, 4), 2);
    ck_assert_uint_eq(numbers[0], 2);
    ck_assert_uint_eq(numbers[1], 3);
    ck_assert(delivery_up(delivery));
}
END_TEST

static const char *const destination_faults[] = {
    "\"kind\":\"http_status\",\"status\":500",
    "\"kind\":\"http_status\",\"status\":302",
    "\"kind\":\"http_status\",\"status\":304",
    "\"kind\":\"http_status\",\"status\":401",
    "\"kind\":\"not_found_html\"",
    "\"kind\":\"http_status\",\"status\":409",
    "\"kind\":\"http_status\",\"status\":503",
    "\"kind\":\"reset\"",
    "\"kind\":\"close\",\"phase\":\"after\"",
    "\"kind\":\"truncated\"",
    "\"kind\":\"hang\",\"count\":4",
};

/* Everything that is neither 2xx nor one of the three is the destination's: no attempt is consumed, the event
 * waits, and is delivered when it is over. */
START_TEST(contract_3_other_answers_consume_no_attempt)
{
    char fault[160];
    struct journal_op pull;
    struct delivery_config config = test_config();
    config.deadline_ms = 200;
    snprintf(fault, sizeof fault, "{\"operation\":\"results\",%s}", destination_faults[_i]);
    sim_fault(fault);
    double before = attempts_made();
    make_events(1, 2);
    delivery_start(&config);
    ck_assert(rig_until(attempts_made() - before >= 4, 10000));
    journal_ask(&pull, JOURNAL_EVENTS_PULL);
    journal_op_clear(&pull);
    ck_assert_int_eq(journal_now().events_pending, 2);
    ck_assert_int_eq(journal_now().events_dead, 0);
    sim_no_faults();
    ck_assert(rig_until(all_delivered(), 10000));
    in_order(1, 2);
    sim_is_content();
    ck_assert(delivery_up(delivery));
}
END_TEST

START_TEST(contract_3_attempts_stay_zero_while_the_destination_fails)
{
    struct journal_op pull;
    struct delivery_config config = test_config();
    sim_fault("{\"operation\":\"results\",\"kind\":\"http_status\",\"status\":500}");
    make_events(1, 1);
    delivery_start(&config);
    double before = attempts_of(POST_STATUS);
    ck_assert(rig_until(attempts_of(POST_STATUS) - before >= 4, 10000));
    delivery_end();
    bool done = false;
    journal_op_init(&pull, journal, JOURNAL_EVENTS_PULL, &reactor.inbox, on_asked, &done);
    pull.now = clock_wall_ms() + 3600000;
    ck_assert(journal_submit(&pull));
    ck_assert(rig_until(done, 5000));
    ck_assert_uint_eq(pull.event_count, 1);
    ck_assert_int_eq(pull.events[0].attempts, 0);
    journal_op_clear(&pull);
}
END_TEST

/* "Only 2xx is delivered": what the body says does not matter. */
START_TEST(contract_3_any_2xx_is_delivered)
{
    struct delivery_config config = test_config();
    sim_fault("{\"operation\":\"results\",\"kind\":\"garbage\",\"count\":1}");
    sim_fault("{\"operation\":\"results\",\"kind\":\"http_status\",\"status\":204,\"phase\":\"after\","
              "\"count\":1}");
    sim_fault("{\"operation\":\"results\",\"kind\":\"chunked\",\"bytes\":1,\"count\":1}");
    sim_fault("{\"operation\":\"results\",\"kind\":\"big_body\",\"count\":1}");
    sim_fault("{\"operation\":\"results\",\"kind\":\"big_body\",\"chunked\":true,\"count\":1}");
    delivery_start(&config);
    make_events(1, 5);
    ck_assert(rig_until(all_delivered(), 10000));
    in_order(1, 5);
    ck_assert_int_eq(sim_stat("duplicates"), 0);
}
END_TEST

/* One event that MVNO AP cannot digest must not silence the other lines. */
START_TEST(one_lines_failure_does_not_hold_the_others)
{
    struct delivery_config config = test_config();
    sim_fault("{\"operation\":\"results\",\"kind\":\"http_status\",\"status\":500,"
              "\"lineNumber\":\"01000000000\"}");
    delivery_start(&config);
    make_events(10, 5);
    ck_assert(rig_until(journal_now().events_pending == 5, 20000));
    ck_assert_uint_eq(accepted("01000000000", NULL, 0), 0);
    make_event("01000000003"); /* also when the breaker has opened for want of other traffic */
    ck_assert(rig_until(being_made == 0 && journal_now().events_pending == 5, 20000));
    sim_no_faults();
    ck_assert(rig_until(all_delivered(), 20000));
    in_order(3, 5);
    ck_assert_int_eq(sim_stat("duplicates"), 0);
}
END_TEST

START_TEST(contract_3_never_two_of_a_line_at_once)
{
    struct delivery_config config = test_config();
    config.deadline_ms = 20000;
    sim_fault("{\"operation\":\"results\",\"kind\":\"gate\",\"lineNumber\":\"01000000000\"}");
    delivery_start(&config);
    make_events(2, 3);
    ck_assert(rig_until(accepted("01000000001", NULL, 0) == 3, 10000)); /* the other line is not held */
    ck_assert(rig_until(metric_value(&delivery_metric_in_flight, 0) == 1, 5000));
    rig_run(100);
    ck_assert_int_eq(sim_stat("received"), 4);
    sim_no_faults();
    ck_assert(rig_until(all_delivered(), 10000));
    in_order(2, 3);
    ck_assert_int_eq(sim_stat("received"), 6);
}
END_TEST

START_TEST(concurrency_is_bounded)
{
    struct delivery_config config = test_config();
    config.concurrency = 5;
    config.deadline_ms = 20000;
    sim_fault("{\"operation\":\"results\",\"kind\":\"gate\"}");
    make_events(50, 2);
    delivery_start(&config);
    ck_assert(rig_until(metric_value(&delivery_metric_in_flight, 0) >= 5, 10000));
    rig_run(100);
    ck_assert_int_eq(metric_value(&delivery_metric_in_flight, 0), 5);
    sim_no_faults();
    ck_assert(rig_until(all_delivered(), 10000));
    ck_assert_int_le(sim_stat("maxConcurrent"), 5);
    in_order(50, 2);
}
END_TEST

START_TEST(contract_3_base_url_unset_events_wait_in_the_journal)
{
    struct delivery_config config = test_config();
    config.base_url = "";
    delivery_start(&config);
    make_events(3, 2);
    delivery_wake(delivery);
    rig_run(200);
    ck_assert_int_eq(journal_now().events_pending, 6);
    ck_assert_int_eq(sim_stat("received"), 0);
    ck_assert(delivery_up(delivery));
}
END_TEST

START_TEST(contract_6_secret_unset_is_sent_unsigned)
{
    struct delivery_config config;
    sim_kill();
    sim_start(0, NULL);
    config = test_config();
    config.webhook_secret = "";
    delivery_start(&config);
    make_events(1, 1);
    ck_assert(rig_until(all_delivered(), 10000));
    cJSON *tree = sim_ask("GET", "/_sim/events", NULL);
    ck_assert_str_eq(header(cJSON_GetArrayItem(json_array(tree, "events"), 0), "webhook-signature"), "");
    cJSON_Delete(tree);
    sim_is_content();
}
END_TEST

START_TEST(a_wrong_secret_is_the_destinations_matter)
{
    struct delivery_config config = test_config();
    config.webhook_secret = "another-secret-of-thirty-two-byt";
    delivery_start(&config);
    make_events(1, 2);
    ck_assert(rig_until(!delivery_up(delivery), 10000)); /* 401, again and again */
    ck_assert_int_eq(journal_now().events_dead, 0);
    delivery_end();
    config = test_config();
    delivery_start(&config);
    ck_assert(rig_until(all_delivered(), 10000));
    in_order(1, 2);
}
END_TEST

START_TEST(a_secret_that_cannot_be_read_is_named)
{
    char err[256];
    struct delivery_config config = test_config();
    config.webhook_secret = "whsec_not base64!";
    ck_assert_ptr_null(delivery_create(&reactor, client, journal, &config, err, sizeof err));
    ck_assert_ptr_nonnull(strstr(err, "MVNO_WEBHOOK_SECRET"));
    ck_assert_ptr_null(strstr(err, "not base64!"));
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("delivery");
    TCase *tc = tcase_create("delivery");
    tcase_set_timeout(tc, 60);
    tcase_add_checked_fixture(tc, rig_setup, rig_teardown);
    tcase_add_test(tc, contract_3_event_arrives_signed_with_its_headers);
    tcase_add_test(tc, contract_3_events_of_a_line_arrive_in_order);
    tcase_add_test(tc, contract_3_order_survives_failures);
    tcase_add_loop_test(tc, contract_3_400_410_422_are_dead_letters_and_the_line_goes_on, 0, 3);
    tcase_add_loop_test(tc, contract_3_other_answers_consume_no_attempt, 0,
                        sizeof destination_faults / sizeof destination_faults[0]);
    tcase_add_test(tc, contract_3_attempts_stay_zero_while_the_destination_fails);
    tcase_add_test(tc, contract_3_any_2xx_is_delivered);
    tcase_add_test(tc, one_lines_failure_does_not_hold_the_others);
    tcase_add_test(tc, contract_3_never_two_of_a_line_at_once);
    tcase_add_test(tc, concurrency_is_bounded);
    tcase_add_test(tc, contract_3_base_url_unset_events_wait_in_the_journal);
    tcase_add_test(tc, contract_6_secret_unset_is_sent_unsigned);
    tcase_add_test(tc, a_wrong_secret_is_the_destinations_matter);
    tcase_add_test(tc, a_secret_that_cannot_be_read_is_named);
    suite_add_tcase(suite, tc);
    return run_suite(suite);
}
