/* console.c - GET /admin/console: the operator's console (issue 7, point 1), three files in src/admin/console that are put
 * into the program by the assembler. The page polls the rest of this API with the operator's token. */
#include "admin/internal.h"

#include <stdlib.h>
#include <string.h>

#define FILE_IN_PROGRAM(symbol, path)                                                                        \
    __asm__(".section .rodata\n"                                                                             \
            ".global " #symbol "_start\n" #symbol "_start:\n.incbin \"" PCS_SOURCE_DIR path "\"\n"           \
            ".global " #symbol "_end\n" #symbol "_end:\n.byte 0\n.previous\n");                              \
    extern const char symbol##_start[], symbol##_end[]

FILE_IN_PROGRAM(console_page, "/src/admin/console/index.html");
FILE_IN_PROGRAM(console_style, "/src/admin/console/console.css");
FILE_IN_PROGRAM(console_script, "/src/admin/console/console.js");

/* Nothing from elsewhere, nothing inline, in no frame. */
static const struct http_header page_headers[] = {
    {"Content-Security-Policy",
     "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src data:; "
     "base-uri 'none'; form-action 'self'; frame-ancestors 'none'"},
    {"Referrer-Policy", "no-referrer"},
    {"Cache-Control", "no-cache"},
};

static void send_file(struct http_request *rq, const char *type, const char *start, const char *end)
{
    const struct door *door = rq->context;
    size_t len = (size_t)(end - start);
    if (!door->local && !host_allowed(http_header(rq, "Host"), door->admin->config.bind)) {
        admin_fail(rq, &admin_forbidden, "Host is not an address of the admin API");
        return;
    }
    char *body = malloc(len);
    if (!body) {
        admin_fail(rq, &http_problem_internal_error, "no memory");
        return;
    }
    memcpy(body, start, len);
    http_reply(rq, 200, type, body, len, page_headers, sizeof page_headers / sizeof page_headers[0]);
}

void handle_console(struct http_request *rq)
{
    send_file(rq, "text/html; charset=utf-8", console_page_start, console_page_end);
}

void handle_console_style(struct http_request *rq)
{
    send_file(rq, "text/css; charset=utf-8", console_style_start, console_style_end);
}

void handle_console_script(struct http_request *rq)
{
    send_file(rq, "text/javascript; charset=utf-8", console_script_start, console_script_end);
}
