/* docs.c - the interface's description, and the page that shows it (issue 6): files of the source, put into the
 * program by the assembler. No token: they say nothing about anybody. */
#include "api/common.h"

#include <stdlib.h>
#include <string.h>

#define EMBED(name, file)                                                                                    \
    __asm__(".section .rodata\n.global " #name "_start\n" #name "_start:\n.incbin \"" PCS_SOURCE_DIR file    \
            "\"\n.global " #name "_end\n" #name "_end:\n.byte 0\n.previous\n");                              \
    extern const char name##_start[], name##_end[]

EMBED(openapi_json, "/src/api/openapi.json");
EMBED(docs_html, "/src/api/docs/docs.html");
EMBED(docs_js, "/src/api/docs/docs.js");
EMBED(docs_css, "/src/api/docs/docs.css");

#define REPLY(rq, type, name)                                                                                \
    http_reply_static(rq, 200, type, name##_start, (size_t)(name##_end - name##_start))

void handle_openapi(struct http_request *rq)
{
    REPLY(rq, "application/json; charset=utf-8", openapi_json);
}

void handle_docs(struct http_request *rq)
{
    /* Nothing from elsewhere, nothing inline. */
    static const struct http_header policy[] = {
        {"Content-Security-Policy",
         "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; "
         "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"}};
    size_t len = (size_t)(docs_html_end - docs_html_start);
    char *body = malloc(len);
    if (!body) {
        fail_plain(rq, &http_problem_internal_error, "no memory");
        return;
    }
    memcpy(body, docs_html_start, len);
    http_reply(rq, 200, "text/html; charset=utf-8", body, len, policy, 1);
}

void handle_docs_script(struct http_request *rq)
{
    REPLY(rq, "text/javascript; charset=utf-8", docs_js);
}

void handle_docs_style(struct http_request *rq)
{
    REPLY(rq, "text/css; charset=utf-8", docs_css);
}
