/* id.h: UUIDv7 (RFC 9562), W3C trace context, X-Request-ID (CONTRACT.md 1), hashes. */
#include "pcs/core/clock.h"
#include "pcs/core/id.h"

#include <check.h>
#include <stdlib.h>
#include <string.h>

START_TEST(uuid_v7_ascends_and_dates)
{
    char last[UUID_LEN + 1] = "", id[UUID_LEN + 1], parsed[UUID_LEN + 1];
    int64_t before = clock_wall_ms(), at;
    for (int i = 0; i < 20000; i++) {
        uuid_v7(id);
        ck_assert_int_gt(strcmp(id, last), 0);
        ck_assert_int_eq(id[14], '7');
        ck_assert_ptr_nonnull(strchr("89ab", id[19]));
        ck_assert(uuid_parse(id, UUID_LEN, parsed));
        memcpy(last, id, sizeof last);
    }
    ck_assert(uuid_v7_time(id, &at));
    ck_assert_int_ge(at, before);
    ck_assert_int_le(at, clock_wall_ms() + 1000);
}
END_TEST

START_TEST(uuid_forms)
{
    char out[UUID_LEN + 1];
    ck_assert(uuid_parse("0192F3A1-0000-7000-8000-00000000000A", 36, out));
    ck_assert_str_eq(out, "0192f3a1-0000-7000-8000-00000000000a");
    ck_assert(!uuid_parse("0192f3a1-0000-7000-8000-00000000000", 35, out));
    ck_assert(!uuid_parse("0192f3a1x0000-7000-8000-00000000000a", 36, out));
    ck_assert(!uuid_parse("0192f3a1-0000-7000-8000-00000000000g", 36, out));
    int64_t at;
    ck_assert(!uuid_v7_time("0192f3a1-0000-4000-8000-00000000000a", &at));
}
END_TEST

START_TEST(request_ids)
{
    char longest[130];
    memset(longest, 'a', sizeof longest);
    ck_assert(request_id_valid("aZ09._:-", 8));
    ck_assert(request_id_valid(longest, 128));
    ck_assert(!request_id_valid(longest, 129));
    ck_assert(!request_id_valid("", 0));
    ck_assert(!request_id_valid("a b", 3));
    ck_assert(!request_id_valid("a\n", 2));
    ck_assert(!request_id_valid("a/b", 3));
}
END_TEST

#define TRACE "4bf92f3577b34da6a3ce929d0e0e4736"
static const struct {
    const char *in;
    bool kept;
} traces[] = {
    {"00-" TRACE "-00f067aa0ba902b7-01", true},
    {"00-" TRACE "-00f067aa0ba902b7-00", true},
    {"cc-" TRACE "-00f067aa0ba902b7-01", true},
    {"cc-" TRACE "-00f067aa0ba902b7-01-what-comes-later", true},
    {"cc-" TRACE "-00f067aa0ba902b7-01x", false},
    {"00-" TRACE "-00f067aa0ba902b7-01-", false},
    {"ff-" TRACE "-00f067aa0ba902b7-01", false},
    {"00-" TRACE "-0000000000000000-01", false},
    {"00-00000000000000000000000000000000-00f067aa0ba902b7-01", false},
    {"00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01", false},
    {"", false},
};

START_TEST(trace_context)
{
    char out[TRACEPARENT_LEN + 1];
    traceparent_child(traces[_i].in, strlen(traces[_i].in), out);
    ck_assert_uint_eq(strlen(out), TRACEPARENT_LEN);
    ck_assert_int_eq(memcmp(out, "00-", 3), 0);
    ck_assert_int_eq(memcmp(out + 3, TRACE, 32) == 0, traces[_i].kept);
    ck_assert_int_ne(memcmp(out + 36, "00f067aa0ba902b7", 16), 0);
}
END_TEST

START_TEST(hash_of_parts)
{
    char ab_c[SHA256_HEX_LEN + 1], a_bc[SHA256_HEX_LEN + 1], again[SHA256_HEX_LEN + 1];
    ck_assert(sha256_parts(ab_c, (struct id_part[]){{"ab", 2}, {"c", 1}}, 2));
    ck_assert(sha256_parts(a_bc, (struct id_part[]){{"a", 1}, {"bc", 2}}, 2));
    ck_assert(sha256_parts(again, (struct id_part[]){{"ab", 2}, {"c", 1}}, 2));
    ck_assert_str_ne(ab_c, a_bc);
    ck_assert_str_eq(ab_c, again);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("id");
    TCase *t = tcase_create("ids");
    tcase_add_test(t, uuid_v7_ascends_and_dates);
    tcase_add_test(t, uuid_forms);
    tcase_add_test(t, request_ids);
    tcase_add_loop_test(t, trace_context, 0, sizeof traces / sizeof traces[0]);
    tcase_add_test(t, hash_of_parts);
    suite_add_tcase(s, t);
    SRunner *r = srunner_create(s);
    srunner_run_all(r, CK_NORMAL);
    int failed = srunner_ntests_failed(r);
    srunner_free(r);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
