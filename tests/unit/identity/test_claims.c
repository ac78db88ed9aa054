/* What a verified token says (contract, "Identity" and UFR-AUTH-020): times, origin, who, lines, permissions,
 * and which line the caller acts on. */
#include "unit/identity/token.h"

#include "identity/claims.h"

static const struct claim_rules plain = {.issuer = "", .audience = "", .leeway_s = 30};

#define WHO  "\"sub\":\"u1\",\"customerId\":\"c1\""
#define LINE "\"lineNumber\":\"010-1234-5678\""
#define EXP  "\"exp\":1800000100"
#define BASE WHO "," LINE "," EXP

struct claim_case {
    const char *payload;
    enum fault fault;
};

static void assert_cases(const struct claim_rules *rules, const struct claim_case *cases, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        struct held *held = NULL;
        int64_t expires_at;
        enum fault fault =
            claims_read(rules, cases[i].payload, strlen(cases[i].payload), NOW, &held, &expires_at);

        ck_assert_msg(fault == cases[i].fault, "%s: %s", cases[i].payload, fault_reason(fault));
        ck_assert_msg((held != NULL) == (fault == FAULT_NONE), "%s", cases[i].payload);
        if (held)
            identity_release(&held->identity);
    }
}
#define ASSERT_CASES(rules, ...)                                                                             \
    do {                                                                                                     \
        static const struct claim_case list[] = __VA_ARGS__;                                                 \
        assert_cases((rules), list, sizeof list / sizeof *list);                                             \
    } while (0)

/* The caller's; released by the caller. */
static const struct identity *read_identity(const char *payload)
{
    struct held *held = NULL;
    int64_t expires_at;
    enum fault fault = claims_read(&plain, payload, strlen(payload), NOW, &held, &expires_at);

    ck_assert_msg(fault == FAULT_NONE, "%s: %s", payload, fault_reason(fault));
    ck_assert_int_eq(expires_at, held->identity.expires_at);
    return &held->identity;
}

START_TEST(payload_is_strict_json)
{
    ASSERT_CASES(&plain, {
                             {"{" BASE "}", FAULT_NONE},
                             {"{" BASE ",\"unknown\":{\"deep\":[1,{}]}}", FAULT_NONE},
                             {"{" BASE "}x", FAULT_PAYLOAD},
                             {"{" BASE "," EXP "}", FAULT_PAYLOAD},
                             {"{" BASE ",\"s\\u0075b\":\"u2\"}", FAULT_PAYLOAD},
                             {"{" BASE ",\"x\":\"\\u0000\"}", FAULT_PAYLOAD},
                             {"{" BASE ",\"x\":\"\xc3\"}", FAULT_PAYLOAD},
                             {"{" BASE ",\"x\":[[[[[[[[1]]]]]]]]}", FAULT_PAYLOAD},
                             {"[{" BASE "}]", FAULT_PAYLOAD},
                             {"\"u1\"", FAULT_PAYLOAD},
                             {"null", FAULT_PAYLOAD},
                             {"", FAULT_PAYLOAD},
                         });
}
END_TEST

/* exp is required and has no leeway; nbf and iat have it (RFC 7519 4.1.4 to 4.1.6). */
START_TEST(times)
{
    ASSERT_CASES(&plain, {
                             {"{" WHO "," LINE "}", FAULT_EXP},
                             {"{" WHO "," LINE ",\"exp\":null}", FAULT_EXP},
                             {"{" WHO "," LINE ",\"exp\":\"1800000100\"}", FAULT_EXP},
                             {"{" WHO "," LINE ",\"exp\":true}", FAULT_EXP},
                             {"{" WHO "," LINE ",\"exp\":1e300}", FAULT_EXP},
                             {"{" WHO "," LINE ",\"EXP\":1800000100}", FAULT_EXP},
                             {"{" WHO "," LINE ",\"exp\":-1}", FAULT_EXPIRED},
                             {"{" WHO "," LINE ",\"exp\":0}", FAULT_EXPIRED},
                             {"{" WHO "," LINE ",\"exp\":1799999999}", FAULT_EXPIRED},
                             {"{" WHO "," LINE ",\"exp\":1800000000}", FAULT_EXPIRED},
                             {"{" WHO "," LINE ",\"exp\":1800000000.9}", FAULT_EXPIRED},
                             {"{" WHO "," LINE ",\"exp\":1800000001}", FAULT_NONE},
                             {"{" WHO "," LINE ",\"exp\":1800000001.5}", FAULT_NONE},
                             {"{" WHO "," LINE ",\"exp\":1.8000001e9}", FAULT_NONE},
                             {"{" BASE ",\"nbf\":1800000030,\"iat\":1800000030}", FAULT_NONE},
                             {"{" BASE ",\"nbf\":1800000031}", FAULT_NBF},
                             {"{" BASE ",\"nbf\":1800000030.5}", FAULT_NBF},
                             {"{" BASE ",\"nbf\":\"0\"}", FAULT_NBF},
                             {"{" BASE ",\"iat\":1800000031}", FAULT_IAT},
                             {"{" BASE ",\"iat\":1900000000000}", FAULT_IAT},
                             {"{" BASE ",\"iat\":[]}", FAULT_IAT},
                             {"{" BASE ",\"iat\":1700000000.123}", FAULT_NONE},
                         });
    const struct identity *id = read_identity("{" WHO "," LINE ",\"exp\":1800000001.5}");
    ck_assert_int_eq(id->expires_at, 1800000001);
    identity_release(id);
}
END_TEST

START_TEST(issuer_and_audience_when_configured)
{
    struct claim_rules strict = {.issuer = "phonebill-auth-service", .audience = "pcs", .leeway_s = 30};
#define FROM "\"iss\":\"phonebill-auth-service\""

    ASSERT_CASES(&plain, {{"{" BASE ",\"iss\":\"x\",\"aud\":\"y\"}", FAULT_NONE},
                          {"{" BASE ",\"iss\":7}", FAULT_NONE}});
    ASSERT_CASES(&strict,
                 {
                     {"{" BASE "," FROM ",\"aud\":\"pcs\"}", FAULT_NONE},
                     {"{" BASE "," FROM ",\"aud\":[\"other\",\"pcs\"]}", FAULT_NONE},
                     {"{" BASE ",\"aud\":\"pcs\"}", FAULT_ISSUER},
                     {"{" BASE ",\"iss\":\"phonebill-auth-service/\",\"aud\":\"pcs\"}", FAULT_ISSUER},
                     {"{" BASE ",\"iss\":[\"phonebill-auth-service\"],\"aud\":\"pcs\"}", FAULT_ISSUER},
                     {"{" BASE "," FROM "}", FAULT_AUDIENCE},
                     {"{" BASE "," FROM ",\"aud\":[]}", FAULT_AUDIENCE},
                     {"{" BASE "," FROM ",\"aud\":\"PCS\"}", FAULT_AUDIENCE},
                     {"{" BASE "," FROM ",\"aud\":[\"pcsx\",7,null]}", FAULT_AUDIENCE},
                     {"{" BASE "," FROM ",\"aud\":{\"pcs\":\"pcs\"}}", FAULT_AUDIENCE},
                 });
}
END_TEST

START_TEST(type_must_be_access_when_present)
{
    ASSERT_CASES(&plain, {
                             {"{" BASE ",\"type\":\"ACCESS\"}", FAULT_NONE},
                             {"{" BASE ",\"type\":\"REFRESH\"}", FAULT_TYPE},
                             {"{" BASE ",\"type\":\"access\"}", FAULT_TYPE},
                             {"{" BASE ",\"type\":\"\"}", FAULT_TYPE},
                             {"{" BASE ",\"type\":null}", FAULT_TYPE},
                             {"{" BASE ",\"type\":[\"ACCESS\"]}", FAULT_TYPE},
                         });
}
END_TEST

START_TEST(subject_and_customer)
{
    char payload[1024], name[IDENTITY_NAME_MAX + 2];
    const struct identity *id;

    ASSERT_CASES(&plain, {
                             {"{\"userId\":\"u1\"," LINE "," EXP "}", FAULT_NONE},
                             {"{\"sub\":null,\"userId\":\"u1\"," LINE "," EXP "}", FAULT_NONE},
                             {"{" LINE "," EXP "}", FAULT_SUBJECT},
                             {"{\"sub\":\"\"," LINE "," EXP "}", FAULT_SUBJECT},
                             {"{\"sub\":7,\"userId\":\"u1\"," LINE "," EXP "}", FAULT_SUBJECT},
                             {"{\"sub\":\"a\\nb\"," LINE "," EXP "}", FAULT_SUBJECT},
                             {"{\"sub\":\"a\\u007f\"," LINE "," EXP "}", FAULT_SUBJECT},
                             {"{\"sub\":\"u1\",\"customerId\":7," LINE "," EXP "}", FAULT_CUSTOMER},
                             {"{\"sub\":\"u1\",\"customerId\":\"a\\tb\"," LINE "," EXP "}", FAULT_CUSTOMER},
                         });
    id = read_identity("{\"sub\":\"the sub\",\"userId\":\"u2\",\"customerId\":\"\xed\x95\x9c\"," LINE "," EXP
                       "}");
    ck_assert_str_eq(id->subject, "the sub");
    ck_assert_str_eq(id->customer_id, "\xed\x95\x9c");
    identity_release(id);
    id = read_identity("{\"userId\":\"u2\",\"customerId\":null," LINE "," EXP "}");
    ck_assert_str_eq(id->subject, "u2");
    ck_assert_str_eq(id->customer_id, "");
    identity_release(id);

    memset(name, 'n', sizeof name);
    name[IDENTITY_NAME_MAX] = '\0';
    snprintf(payload, sizeof payload, "{\"sub\":\"%s\"," LINE "," EXP "}", name);
    identity_release(read_identity(payload));
    snprintf(payload, sizeof payload, "{\"sub\":\"n%s\"," LINE "," EXP "}", name);
    assert_cases(&plain, &(struct claim_case){payload, FAULT_SUBJECT}, 1);
}
END_TEST

START_TEST(lines)
{
    const struct identity *id;

    ASSERT_CASES(&plain,
                 {
                     {"{" WHO "," EXP ",\"lineNumber\":\"01012345678\"}", FAULT_NONE},
                     {"{" WHO "," EXP ",\"lineNumbers\":[\"01012345678\"]}", FAULT_NONE},
                     {"{" WHO "," EXP ",\"lineNumber\":null,\"lineNumbers\":[\"01012345678\"]}", FAULT_NONE},
                     {"{" WHO "," EXP "}", FAULT_NO_LINE},
                     {"{" WHO "," EXP ",\"lineNumber\":null}", FAULT_NO_LINE},
                     {"{" WHO "," EXP ",\"lineNumber\":\"\"}", FAULT_NO_LINE},
                     {"{" WHO "," EXP ",\"lineNumbers\":[]}", FAULT_NO_LINE},
                     {"{" WHO "," EXP ",\"lineNumber\":\"01112345678\"}", FAULT_NO_LINE},
                     {"{" WHO "," EXP ",\"lineNumber\":\"0101234567\"}", FAULT_NO_LINE},
                     {"{" WHO "," EXP ",\"lineNumber\":\"010123456789\"}", FAULT_NO_LINE},
                     {"{" WHO "," EXP ",\"lineNumber\":\"+821012345678\"}", FAULT_NO_LINE},
                     {"{" WHO "," EXP ",\"lineNumber\":\"010 1234 5678\"}", FAULT_NO_LINE},
                     {"{" WHO "," EXP ",\"lineNumber\":\"0101234567\xef\xbc\x98\"}", FAULT_NO_LINE},
                     {"{" WHO "," EXP ",\"lineNumber\":1012345678}", FAULT_LINES},
                     {"{" WHO "," EXP ",\"lineNumber\":[\"01012345678\"]}", FAULT_LINES},
                     {"{" WHO "," EXP ",\"lineNumbers\":\"01012345678\"}", FAULT_LINES},
                     {"{" WHO "," EXP ",\"lineNumbers\":[\"01012345678\",7]}", FAULT_LINES},
                 });
    id = read_identity("{" WHO "," EXP ",\"lineNumber\":\"010-1111-2222\","
                       "\"lineNumbers\":[\"01011112222\",\"021234567\",\"010-3333-4444\"]}");
    ck_assert_uint_eq(id->line_count, 2);
    ck_assert_str_eq(id->lines[0], "01011112222");
    ck_assert_str_eq(id->lines[1], "01033334444");
    identity_release(id);
}
END_TEST

START_TEST(lines_are_bounded)
{
    for (int count = IDENTITY_LINES_MAX; count <= IDENTITY_LINES_MAX + 1; count++) {
        char payload[1024];
        int n = sprintf(payload, "{" WHO "," EXP ",\"lineNumbers\":[");

        for (int i = 0; i < count; i++)
            n += sprintf(payload + n, "%s\"010000000%02d\"", i ? "," : "", i);
        sprintf(payload + n, "]}");
        assert_cases(&plain,
                     &(struct claim_case){payload, count > IDENTITY_LINES_MAX ? FAULT_LINES : FAULT_NONE}, 1);
    }
}
END_TEST

/* PRODUCT_CHANGE when permissions are present, always with AUTH_REQUIRE_PERMISSION; never for ADMIN. */
START_TEST(permissions)
{
    struct claim_rules required = {.issuer = "", .audience = "", .require_permission = true};
#define PERM(json) "{" BASE ",\"permissions\":" json "}"

    ASSERT_CASES(&plain, {
                             {"{" BASE "}", FAULT_NONE},
                             {PERM("[\"PRODUCT_CHANGE\"]"), FAULT_NONE},
                             {PERM("[\"BILL_INQUIRY\",\"PRODUCT_CHANGE\"]"), FAULT_NONE},
                             {PERM("\"PRODUCT_CHANGE\""), FAULT_NONE},
                             {PERM("\" BILL_INQUIRY  PRODUCT_CHANGE \""), FAULT_NONE},
                             {PERM("[]"), FAULT_NO_PERMISSION},
                             {PERM("\"\""), FAULT_NO_PERMISSION},
                             {PERM("[\"BILL_INQUIRY\"]"), FAULT_NO_PERMISSION},
                             {PERM("[\"product_change\"]"), FAULT_NO_PERMISSION},
                             {PERM("[\"PRODUCT_CHANGE_VIEW\"]"), FAULT_NO_PERMISSION},
                             {PERM("\"XPRODUCT_CHANGE PRODUCT_CHANGEX\""), FAULT_NO_PERMISSION},
                             {PERM("[\"BILL PRODUCT_CHANGE\"]"), FAULT_NO_PERMISSION},
                             {PERM("\"BILL\\tPRODUCT_CHANGE\""), FAULT_NO_PERMISSION},
                             {PERM("null"), FAULT_PERMISSIONS},
                             {PERM("{}"), FAULT_PERMISSIONS},
                             {PERM("{\"a\":\"PRODUCT_CHANGE\"}"), FAULT_PERMISSIONS},
                             {PERM("7"), FAULT_PERMISSIONS},
                             {PERM("[\"PRODUCT_CHANGE\",7]"), FAULT_PERMISSIONS},
                         });
    ASSERT_CASES(&required, {
                                {"{" BASE "}", FAULT_NO_PERMISSION},
                                {PERM("[\"PRODUCT_CHANGE\"]"), FAULT_NONE},
                                {PERM("[\"ADMIN\"]"), FAULT_NONE},
                                {"{" BASE ",\"role\":\"ADMIN\"}", FAULT_NONE},
                            });
}
END_TEST

START_TEST(admin)
{
    static const struct {
        const char *payload;
        bool admin;
    } cases[] = {
        {"{" WHO "," EXP ",\"role\":\"ADMIN\"}", true},
        {"{" WHO "," EXP ",\"permissions\":[\"ADMIN\"]}", true},
        {"{" WHO "," EXP ",\"permissions\":\"X ADMIN\"}", true},
        {"{" WHO "," EXP ",\"role\":\"ADMIN\",\"permissions\":[\"X\"]}", true},
        {"{" BASE ",\"role\":\"USER\"}", false},
        {"{" BASE ",\"role\":\"admin\"}", false},
        {"{" BASE ",\"role\":[\"ADMIN\"]}", false},
        {"{" BASE ",\"Role\":\"ADMIN\"}", false},
        {"{" BASE ",\"role\":null}", false},
    };

    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const struct identity *id = read_identity(cases[i].payload);
        ck_assert_msg(id->admin == cases[i].admin, "%s", cases[i].payload);
        identity_release(id);
    }
    /* A role that is not ADMIN does not stand in for a permission. */
    ASSERT_CASES(&plain, {{"{" WHO "," EXP ",\"role\":[\"ADMIN\"]}", FAULT_NO_LINE},
                          {"{" BASE ",\"role\":\"admin\",\"permissions\":[]}", FAULT_NO_PERMISSION}});
}
END_TEST

/* 401 is decided before 403: a token that is both bad and powerless is bad. */
START_TEST(bad_comes_before_forbidden)
{
    ASSERT_CASES(&plain, {{"{" WHO ",\"exp\":1}", FAULT_EXPIRED},
                          {"{" EXP ",\"permissions\":[]}", FAULT_SUBJECT},
                          {"{" WHO "," EXP ",\"type\":\"REFRESH\",\"permissions\":[]}", FAULT_TYPE}});
}
END_TEST

#define OWN   "{" WHO "," EXP ",\"lineNumber\":\"01011111111\"}"
#define TWO   "{" WHO "," EXP ",\"lineNumbers\":[\"01011111111\",\"01022222222\"]}"
#define ROOT  "{" WHO "," EXP ",\"role\":\"ADMIN\"}"
#define ROOT1 "{" WHO "," EXP ",\"role\":\"ADMIN\",\"lineNumber\":\"01011111111\"}"

/* Contract: one line may be left out; ADMIN and several lines must name it; nobody but ADMIN takes another's.
 */
START_TEST(which_line_a_read_acts_on)
{
    static const struct {
        const char *payload, *requested;
        enum line_choice choice;
        const char *line;
    } cases[] = {
        {OWN, NULL, LINE_OK, "01011111111"},
        {OWN, "01011111111", LINE_OK, "01011111111"},
        {OWN, "01022222222", LINE_FOREIGN, NULL},
        {OWN, "", LINE_FOREIGN, NULL},
        {TWO, NULL, LINE_REQUIRED, NULL},
        {TWO, "01011111111", LINE_OK, "01011111111"},
        {TWO, "01022222222", LINE_OK, "01022222222"},
        {TWO, "01033333333", LINE_FOREIGN, NULL},
        {ROOT, NULL, LINE_REQUIRED, NULL},
        {ROOT, "01033333333", LINE_OK, "01033333333"},
        {ROOT1, NULL, LINE_REQUIRED, NULL},
        {ROOT1, "01033333333", LINE_OK, "01033333333"},
    };

    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const struct identity *id = read_identity(cases[i].payload);
        const char *line = NULL;

        ck_assert_int_eq(identity_pick_line(id, cases[i].requested, &line), cases[i].choice);
        ck_assert_msg((line == NULL) == (cases[i].line == NULL), "case %zu", i);
        if (line)
            ck_assert_str_eq(line, cases[i].line);
        if (cases[i].requested)
            ck_assert(identity_owns(id, cases[i].requested) == (cases[i].choice == LINE_OK));
        identity_release(id);
    }
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("claims");
    TCase *tc = tcase_create("claims");

    tcase_add_test(tc, payload_is_strict_json);
    tcase_add_test(tc, times);
    tcase_add_test(tc, issuer_and_audience_when_configured);
    tcase_add_test(tc, type_must_be_access_when_present);
    tcase_add_test(tc, subject_and_customer);
    tcase_add_test(tc, lines);
    tcase_add_test(tc, lines_are_bounded);
    tcase_add_test(tc, permissions);
    tcase_add_test(tc, admin);
    tcase_add_test(tc, bad_comes_before_forbidden);
    tcase_add_test(tc, which_line_a_read_acts_on);
    suite_add_tcase(suite, tc);
    return run_suite(suite);
}
