/* The operator's API (issue 5, point 7): bodies, and Host. First line: Host; the rest: a body. */
#include "admin/internal.h"
#include "fuzz/fake_request.h"

#include <arpa/inet.h>
#include <strings.h>

/* A name can be rebound by whoever owns it: beside localhost and the bound address only addresses are taken. */
static void check_host(const char *host)
{
    static const char *const binds[] = {"127.0.0.1", "0.0.0.0", "::"};
    for (size_t i = 0; i < sizeof binds / sizeof *binds; i++) {
        if (!host_allowed(host, binds[i])) {
            continue;
        }
        char name[256];
        unsigned char address[16];
        bool brackets = *host == '[';
        size_t len = brackets ? strcspn(host + 1, "]") : strcspn(host, ":");
        FUZZ_CHECK(len && len < sizeof name);
        snprintf(name, sizeof name, "%.*s", (int)len, host + brackets);
        FUZZ_CHECK(
            strcasecmp(name, "localhost") == 0 || strcasecmp(name, binds[i]) == 0 ||
            (i && (inet_pton(AF_INET, name, address) == 1 || inet_pton(AF_INET6, name, address) == 1)));
        const char *port = host + len + 2 * brackets;
        FUZZ_CHECK(!*port || (*port == ':' && strspn(port + 1, "0123456789") == strlen(port + 1)));
    }
}

static void check_body(const char *text, size_t len)
{
    struct request *rq = fake_request(NULL, text, len);
    cJSON *body = admin_body(&rq->pub);
    bool ok = body != NULL;
    if (body) {
        const char *actor = admin_body_text(&rq->pub, body, "actor", ACTOR_MAX, true, &ok);
        const char *reason = admin_body_text(&rq->pub, body, "reason", REASON_MAX, false, &ok);
        FUZZ_CHECK(!ok || (actor && *actor && strlen(actor) <= ACTOR_MAX));
        FUZZ_CHECK(!reason || (*reason && strlen(reason) <= REASON_MAX));
        for (const char *p = ok ? actor : ""; *p; p++) {
            FUZZ_CHECK((unsigned char)*p >= ' ' && *p != 0x7f);
        }
        FUZZ_CHECK(!ok ||
                   fuzz_same(actor, cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(body, "actor"))));
        cJSON_Delete(body);
    }
    FUZZ_CHECK(fake_end(rq) == (ok ? 0 : 400));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct fuzz_input in = {data, size};
    char *host = fuzz_line(&in), *body = fuzz_text(in.at, in.left);
    check_host(host);
    check_body(body, in.left);
    free(host);
    free(body);
    return 0;
}
