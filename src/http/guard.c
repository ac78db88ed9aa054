/* guard.c - refuses request heads that two HTTP parsers could read differently.
 *
 * libmicrohttpd 0.9.75 accepts heads that a gateway in front may understand otherwise (request smuggling,
 * PITFALLS.md 1): Content-Length with Transfer-Encoding, doubled ones, folded lines, NUL, bare LF. What it
 * hides from the application shows in the arithmetic: the bytes it consumed must be exactly those of the lines it
 * tells, and each line must follow the one before it. One walk over the headers does all checks and remembers the headers that the
 * service knows. */
#include "http/internal.h"

#include <string.h>
#include <strings.h>

/* Bytes of the connection's pool in which libmicrohttpd keeps book of one header, cookie or argument. */
#define INDEX_ENTRY 64
#define BLANKS_MAX  256 /* between a colon and its value */

struct walk {
    struct request *rq;
    size_t canonical;     /* bytes of the headers as they came: name, colon, blanks, value, CRLF */
    uintptr_t first_line; /* where the first header begins */
    uintptr_t next_line;  /* where the next header has to begin if this one ended in CRLF; 0: not known */
    size_t count;
    size_t cookie_bytes, cookies;
    const char *wrong;
    bool no_memory;
};

/* RFC 9110 5.6.2: letters, digits and !#$%&'*+-.^_`|~ , a bit for each of the first 128 characters */
static const uint32_t token_bits[4] = {0, 0x03FF6CFA, 0xC7FFFFFE, 0x57FFFFFF};

/* RFC 3986 3.2.2, 3.2.3: what a host and its port are written with; nothing of a path, a user or a second host */
static const uint32_t host_bits[4] = {0, 0x2FFF7FF2U, 0xAFFFFFFEU, 0x47FFFFFEU};

static bool all_of(const uint32_t bits[4], const char *text, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        unsigned char c = (unsigned char)text[i];
        if (c >= 0x80 || !(bits[c >> 5] >> (c & 31) & 1)) {
            return false;
        }
    }
    return true;
}

static bool is_token(const char *text, size_t len)
{
    return len > 0 && all_of(token_bits, text, len);
}

static bool control_char(unsigned char c)
{
    return (c < ' ' && c != '\t') || c == 0x7F;
}

/* Eight bytes at a time while all of them are ASCII and printable: tokens are long. */
static bool value_sound(const char *value, size_t len)
{
    size_t i = 0;
    for (; len - i >= 8; i += 8) {
        const uint64_t ones = 0x0101010101010101U;
        uint64_t w;
        memcpy(&w, value + i, sizeof w);
        if (((w - ones * 0x20) | ((w ^ ones * 0x7F) - ones) | w) & ones * 0x80) {
            break;
        }
    }
    for (; i < len; i++) {
        if (control_char((unsigned char)value[i])) {
            return false;
        }
    }
    return true;
}

static const struct {
    const char *name;
    size_t len;
    enum { TWICE_WRONG, TWICE_JOINED, TWICE_VOID } twice;
} known_headers[KNOWN_COUNT] = {
    [KNOWN_ACCEPT] = {"accept", 6, TWICE_JOINED},
    [KNOWN_ACCEPT_LANGUAGE] = {"accept-language", 15, TWICE_JOINED},
    [KNOWN_AUTHORIZATION] = {"authorization", 13, TWICE_WRONG},
    [KNOWN_CONTENT_LENGTH] = {"content-length", 14, TWICE_WRONG},
    [KNOWN_CONTENT_TYPE] = {"content-type", 12, TWICE_WRONG},
    [KNOWN_EXPECT] = {"expect", 6, TWICE_JOINED},
    [KNOWN_HOST] = {"host", 4, TWICE_WRONG},
    [KNOWN_IDEMPOTENCY_KEY] = {"idempotency-key", 15, TWICE_WRONG},
    [KNOWN_ORIGIN] = {"origin", 6, TWICE_WRONG},
    [KNOWN_PREFER] = {"prefer", 6, TWICE_JOINED},
    [KNOWN_TRACEPARENT] = {"traceparent", 11, TWICE_VOID}, /* W3C: more than one is none */
    [KNOWN_TRANSFER_ENCODING] = {"transfer-encoding", 17, TWICE_WRONG},
    [KNOWN_X_CUSTOMER_ID] = {"x-customer-id", 13, TWICE_WRONG},
    [KNOWN_X_LINE_NUMBER] = {"x-line-number", 13, TWICE_WRONG},
    [KNOWN_X_REQUEST_ID] = {"x-request-id", 12, TWICE_VOID},
    [KNOWN_X_TOKEN_EXPIRES_AT] = {"x-token-expires-at", 18, TWICE_WRONG},
    [KNOWN_X_USER_ID] = {"x-user-id", 9, TWICE_WRONG},
    [KNOWN_X_USER_PERMISSIONS] = {"x-user-permissions", 18, TWICE_WRONG},
    [KNOWN_X_USER_ROLE] = {"x-user-role", 11, TWICE_WRONG},
};

int guard_known(const char *name, size_t len)
{
    for (int i = 0; i < KNOWN_COUNT; i++) {
        if (known_headers[i].len == len && strncasecmp(known_headers[i].name, name, len) == 0) {
            return i;
        }
    }
    return -1;
}

/* The library leaves blanks at a value's end; RFC 9110 5.5 does not count them. Framing headers stay as they
 * are. */
static const char *trim(struct walk *w, int known, const char *value, size_t len)
{
    size_t end = len;
    while (end && (value[end - 1] == ' ' || value[end - 1] == '\t')) {
        end--;
    }
    if (end == len || known == KNOWN_CONTENT_LENGTH || known == KNOWN_TRANSFER_ENCODING) {
        return value;
    }
    const char *copy = arena_strndup(&w->rq->pub.arena, value, end);
    w->no_memory |= !copy;
    return copy ? copy : value;
}

static void remember(struct walk *w, int known, const char *value, size_t len)
{
    const char **slot = &w->rq->known[known];
    value = trim(w, known, value, len);
    if (!*slot) {
        *slot = value;
        return;
    }
    switch (known_headers[known].twice) {
    case TWICE_WRONG:
        w->wrong = "a header that may stand only once is given twice";
        break;
    case TWICE_JOINED: { /* RFC 9110 5.3 */
        const char *joined = arena_printf(&w->rq->pub.arena, "%s, %s", *slot, value);
        if (joined) {
            *slot = joined;
        } else {
            w->no_memory = true;
        }
        break;
    }
    case TWICE_VOID:
        *slot = "";
        break;
    }
}

/* The bytes between a name and its value: the colon and blanks (RFC 9112 5.1 allows none, one or many). The library
 * parses in place, so the pointers tell; where they do not, the usual form is assumed. */
static size_t colon_and_blanks(const char *name, size_t name_len, const char *value)
{
    uintptr_t from = (uintptr_t)name + name_len, to = (uintptr_t)value;
    if (to <= from || to - from > BLANKS_MAX) {
        return 2;
    }
    for (const char *p = name + name_len + 1; p < value; p++) {
        if (*p != ' ' && *p != '\t') {
            return 2;
        }
    }
    return to - from;
}

/* Each header line has to follow the one before it after exactly CRLF: a bare LF or a folded line does not. */
static bool follows(struct walk *w, const char *name, const char *value, size_t value_len)
{
    bool ok = !w->next_line || w->next_line == (uintptr_t)name;
    w->next_line = value ? (uintptr_t)value + value_len + 2 : 0;
    return ok;
}

static enum MHD_Result visit(void *cls, enum MHD_ValueKind kind, const char *name, size_t name_len,
                             const char *value, size_t value_len)
{
    struct walk *w = cls;
    (void)kind;
    bool in_order = follows(w, name, value, value_len);
    w->first_line = w->count ? w->first_line : (uintptr_t)name;
    w->count++;
    w->canonical += name_len + (value ? colon_and_blanks(name, name_len, value) : 2) + value_len + 2;
    if (!value) {
        value = "";
        value_len = 0;
    }
    const char *wrong = NULL;
    if (!in_order) {
        wrong = "a header line does not follow the one before it after CRLF";
    } else if (!is_token(name, name_len)) {
        wrong = "a header name holds characters that it must not";
    } else if (!value_sound(value, value_len)) {
        wrong = "a header value holds a control character";
    } else {
        int known = guard_known(name, name_len);
        if (known >= 0) {
            remember(w, known, value, value_len);
        } else if (name_len == 6 && strncasecmp(name, "cookie", 6) == 0) {
            w->cookie_bytes += value_len;
            for (size_t i = 0; i < value_len; i++) {
                w->cookies += i == 0 || value[i] == ';';
            }
        }
    }
    w->wrong = w->wrong ? w->wrong : wrong;
    return MHD_YES; /* to the end, so that even a refusal carries the caller's X-Request-ID and language */
}

/* Body framing (RFC 9112 6): what frames the body must be beyond doubt. */
static const char *check_framing(struct request *rq, const char *version)
{
    const char *te = rq->known[KNOWN_TRANSFER_ENCODING], *cl = rq->known[KNOWN_CONTENT_LENGTH];
    if (te) {
        if (cl) {
            return "Content-Length and Transfer-Encoding are both given";
        }
        if (strcasecmp(te, "chunked") != 0) {
            return "Transfer-Encoding is not exactly chunked";
        }
        if (strcmp(version, MHD_HTTP_VERSION_1_1) != 0) {
            return "Transfer-Encoding needs HTTP/1.1";
        }
        rq->chunked = true;
    }
    if (cl) {
        size_t n = 0;
        if (!*cl) {
            return "Content-Length is not a number";
        }
        for (const char *p = cl; *p; p++) {
            if (*p < '0' || *p > '9') {
                return "Content-Length is not a number";
            }
            n = n > (SIZE_MAX - 9) / 10 ? (SIZE_MAX - 9) / 10 + 1 : n * 10 + (size_t)(*p - '0');
        }
        rq->has_length = true;
        rq->content_length = n;
    }
    return NULL;
}

static const char *check_request_line(const struct request *rq, const char *version)
{
    const char *method = rq->pub.method;
    if (!is_token(method, strlen(method))) {
        return "the method is not a token";
    }
    if (strcmp(version, MHD_HTTP_VERSION_1_1) != 0 && strcmp(version, MHD_HTTP_VERSION_1_0) != 0) {
        return "the version is neither HTTP/1.1 nor HTTP/1.0";
    }
    if (!rq->known[KNOWN_HOST] && strcmp(version, MHD_HTTP_VERSION_1_1) == 0) {
        return "HTTP/1.1 needs a Host"; /* ours to say: the library would answer in HTML */
    }
    if (rq->known[KNOWN_HOST] && !all_of(host_bits, rq->known[KNOWN_HOST], strlen(rq->known[KNOWN_HOST]))) {
        return "Host holds characters that no host has"; /* RFC 9112 3.2 */
    }
    if (rq->pub.path[0] != '/') {
        return "the request target is not an absolute path";
    }
    size_t path_len = strlen(rq->pub.path);
    const char *p = rq->pub.path;
    for (size_t i = 0; i < rq->uri_len; i++) {
        unsigned char c = (unsigned char)p[i];
        if (i == path_len) {
            continue; /* the NUL that stands where '?' was */
        }
        if (c <= ' ' || c >= 0x7F) {
            return "the request target holds characters that must be percent-encoded";
        }
        if (c == '%') {
            char decoded[4];
            if (rq->uri_len - i < 3 || percent_decode(decoded, p + i, 3, false) != 1) {
                return "the request target holds a bad percent-encoding";
            }
        }
    }
    return NULL;
}

/* The bytes that libmicrohttpd consumed against the canonical form. Folding, NUL, bare LF, leading junk and
 * stray blanks all show as a difference. Two of them could make up for each other in the sum (a blank too many in the
 * request line, a bare LF at the head's end), so each part must also stand where the one before it ends.
 *
 * What stays hidden, since the library writes NUL over it before anybody is asked: NUL LF in place of CRLF, ":" LF in
 * place of the head's last CRLF, lines that begin with NUL before a request line. A gateway that writes heads anew, as
 * nginx does, passes none of them on. */
static const char *check_spacing(const struct request *rq, const struct walk *w, const char *version,
                                 size_t head)
{
    uintptr_t start = (uintptr_t)rq->pub.method, uri = start + strlen(rq->pub.method) + 1;
    uintptr_t second_line = (uintptr_t)version + strlen(version) + 2;
    uintptr_t end = w->count ? w->next_line : second_line;
    size_t canonical = second_line - start + w->canonical + 2;
    for (const char *p = (const char *)end - 2; end > second_line - 1 && p < rq->pub.method + head; p++) {
        if (*p) { /* the library has put NULs in place of the last CRLFCRLF: whatever else is there was no line end */
            return "the request head does not end in CRLF CRLF";
        }
    }
    if (uri == rq->raw_uri && uri + rq->uri_len + 1 == (uintptr_t)version &&
        (!w->count || w->first_line == second_line) && (!end || end + 2 - start == head) &&
        head == canonical) {
        return NULL;
    }
    return "the request head is not in canonical form (CRLF, no folding, no NUL)";
}

/* What the head, its index and the head of our answer need must fit into the pool, else the answer would be
 * lost. */
static bool pool_suffices(const struct request *rq, const struct walk *w, size_t head)
{
    size_t entries = w->count + w->cookies;
    if (rq->query) {
        entries++;
        for (const char *p = rq->query; *p; p++) {
            entries += *p == '&';
        }
    }
    return head + w->cookie_bytes + entries * INDEX_ENTRY + REPLY_HEAD_ROOM <= POOL_SIZE;
}

bool guard_query_fits(const char *uri)
{
    const char *query = strchr(uri, '?');
    size_t entries = query ? 1 : 0;
    for (const char *p = query; p && *p; p++) {
        entries += *p == '&';
    }
    return strlen(uri) + entries * INDEX_ENTRY + REPLY_HEAD_ROOM <= POOL_SIZE;
}

const char *guard_check(struct request *rq, const char *version, bool *too_large)
{
    struct walk w = {.rq = rq};
    const union MHD_ConnectionInfo *info =
        MHD_get_connection_info(rq->mhd, MHD_CONNECTION_INFO_REQUEST_HEADER_SIZE);
    *too_large = false;
    MHD_get_connection_values_n(rq->mhd, MHD_HEADER_KIND, visit, &w);
    if (!info) {
        return "the request head cannot be measured";
    }
    if (info->header_size > HTTP_HEAD_MAX || !pool_suffices(rq, &w, info->header_size)) {
        *too_large = true;
        return "the request head is over 6 KiB, or holds too many headers";
    }
    if (w.no_memory) {
        *too_large = true;
        return "repeated headers take too much room";
    }
    if (w.wrong) {
        return w.wrong;
    }
    const char *wrong = check_request_line(rq, version);
    wrong = wrong ? wrong : check_framing(rq, version);
    return wrong ? wrong : check_spacing(rq, &w, version, info->header_size);
}
