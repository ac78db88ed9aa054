/* Lines whose cache is not believed until Redis has acknowledged a delete (CONTRACT.md 4). */
#include "product/bypass.h"

#include <check.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

#define LINE "01012345678"

START_TEST(from_add_to_remove)
{
    bypass_clear();
    ck_assert(!bypass_holds(LINE));
    bypass_add(LINE, 5);
    ck_assert(bypass_holds(LINE));
    ck_assert(!bypass_holds("01012345679"));
    ck_assert_uint_eq(bypass_count(), 1);
    bypass_remove("01012345679", 9); /* not listed */
    bypass_remove(LINE, 4);          /* of an older change: a newer one is not acknowledged */
    ck_assert(bypass_holds(LINE));
    bypass_remove(LINE, 5);
    ck_assert(!bypass_holds(LINE));
    ck_assert_uint_eq(bypass_count(), 0);
}
END_TEST

START_TEST(newest_generation_counts)
{
    bypass_clear();
    bypass_add(LINE, 5);
    bypass_add(LINE, 7);
    bypass_add(LINE, 6);
    ck_assert_uint_eq(bypass_count(), 1);
    bypass_remove(LINE, 6);
    ck_assert(bypass_holds(LINE));
    bypass_remove(LINE, 8);
    ck_assert(!bypass_holds(LINE));
}
END_TEST

/* A load that began before must not be joined by a reader that begins now */
START_TEST(add_begins_a_generation)
{
    uint64_t before = line_generation(LINE);
    bypass_clear();
    bypass_add(LINE, 1);
    ck_assert_uint_ne(line_generation(LINE), before);
    before = line_generation(LINE);
    bypass_remove(LINE, 1);
    ck_assert_uint_eq(line_generation(LINE), before);
    line_generation_next(LINE);
    ck_assert_uint_ne(line_generation(LINE), before);
}
END_TEST

/* A line that cannot be listed: none is believed, whatever else is removed, until the journal had nothing pending */
START_TEST(what_could_not_be_listed_is_over_with_an_empty_list)
{
    bypass_clear();
    bypass_add("0101234567890123", 1); /* too long to be listed, as without memory */
    ck_assert(bypass_holds_all());
    ck_assert(bypass_holds(LINE));
    bypass_add(LINE, 2);
    bypass_remove(LINE, 2);
    bypass_remove(LINE, 2); /* told twice: by the change and by the forwarder */
    bypass_remove("01012345679", 3);
    ck_assert_msg(bypass_holds(LINE), "another line's removal was taken for the unlisted one's");
    uint64_t since = bypass_added();
    bypass_add(LINE, 4);
    bypass_none_since(since); /* listed before LINE was added */
    ck_assert(bypass_holds_all());
    bypass_none_since(bypass_added());
    ck_assert(!bypass_holds_all());
    ck_assert(!bypass_holds(LINE));
    ck_assert_uint_eq(bypass_count(), 0);
}
END_TEST

static void *worker(void *arg)
{
    char line[32];
    for (int i = 0; i < 2000; i++) {
        snprintf(line, sizeof line, "0101%03d%04d", *(int *)arg, i);
        bypass_add(line, i);
        ck_assert(bypass_holds(line));
        if (i % 2) {
            bypass_remove(line, i);
            ck_assert(!bypass_holds(line));
        }
    }
    return NULL;
}

START_TEST(many_threads)
{
    pthread_t threads[4];
    int ids[4];
    bypass_clear();
    for (int i = 0; i < 4; i++) {
        ids[i] = i;
        pthread_create(&threads[i], NULL, worker, &ids[i]);
    }
    for (int i = 0; i < 4; i++) {
        pthread_join(threads[i], NULL);
    }
    ck_assert_uint_eq(bypass_count(), 4000);
    ck_assert(bypass_holds("01010021998"));
    ck_assert(!bypass_holds("01010021999"));
    bypass_clear();
    ck_assert_uint_eq(bypass_count(), 0);
    ck_assert(!bypass_holds("01010021998"));
}
END_TEST

int main(void)
{
    Suite *s = suite_create("bypass");
    TCase *t = tcase_create("bypass");
    tcase_add_test(t, from_add_to_remove);
    tcase_add_test(t, newest_generation_counts);
    tcase_add_test(t, add_begins_a_generation);
    tcase_add_test(t, what_could_not_be_listed_is_over_with_an_empty_list);
    tcase_add_test(t, many_threads);
    suite_add_tcase(s, t);
    SRunner *r = srunner_create(s);
    srunner_run_all(r, CK_ENV);
    int failed = srunner_ntests_failed(r);
    srunner_free(r);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
