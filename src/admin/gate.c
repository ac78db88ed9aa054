/* gate.c - who may use the admin API: on the Unix socket root and the daemon's own user, by peer credentials; on TCP
 * whoever has the token, under a Host that a foreign page cannot send. */
#include "admin/internal.h"

#include "pcs/core/buf.h"
#include "pcs/core/config.h"
#include "pcs/core/known_secret.h"

#include <arpa/inet.h>
#include <openssl/crypto.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>

#define TOKEN_MAX      4096
#define TOKEN_FILE_MAX 8192

static bool hash_token(const char *token, size_t len, char hash[SHA256_HEX_LEN + 1])
{
    struct id_part part = {token, len};
    return sha256_parts(hash, &part, 1);
}

/* 32 to 4096 printable characters without blanks; the newline at the file's end is not of the token. */
static bool token_sound(struct buf *text)
{
    for (int i = 0; i < 2 && text->len > 0; i++) {
        text->len -= text->data[text->len - 1] == "\n\r"[i];
    }
    for (size_t i = 0; i < text->len; i++) {
        if (text->data[i] <= ' ' || text->data[i] >= 0x7f) {
            return false;
        }
    }
    return text->len >= ADMIN_TOKEN_MIN && text->len <= TOKEN_MAX;
}

bool token_read(const char *file, char hash[SHA256_HEX_LEN + 1], char *err, size_t errlen)
{
    char why[160];
    struct buf text;
    bool ok = false;
    buf_init(&text, TOKEN_FILE_MAX + 8192);
    if (!config_read_file(file, TOKEN_FILE_MAX, &text, why, sizeof why)) {
        snprintf(err, errlen, "admin.token_file: %s %s", file, why);
    } else if (!token_sound(&text)) {
        snprintf(err, errlen, "admin.token_file: %s must hold %d to %d printable characters without blanks",
                 file, ADMIN_TOKEN_MIN, TOKEN_MAX);
    } else {
        text.data[text.len] = '\0';
        ok = known_secret_judge(text.data) == SECRET_OWN;
        if (!ok) {
            snprintf(err, errlen, "admin.token_file: %s holds an example that everybody can read", file);
        } else if (!(ok = hash_token(text.data, text.len, hash))) {
            snprintf(err, errlen, "admin.token_file: no memory");
        }
    }
    if (text.data) {
        OPENSSL_cleanse(text.data, text.len);
    }
    buf_free(&text);
    return ok;
}

/* Compares hashes, so that neither length nor prefix shows in the time it takes. */
static bool token_right(const struct admin *a, const char *authorization)
{
    char hash[SHA256_HEX_LEN + 1];
    static const char scheme[] = "Bearer ";
    if (!authorization || !a->token_hash[0] || strncasecmp(authorization, scheme, sizeof scheme - 1) != 0) {
        return false;
    }
    const char *token = authorization + sizeof scheme - 1;
    return hash_token(token, strlen(token), hash) && CRYPTO_memcmp(hash, a->token_hash, SHA256_HEX_LEN) == 0;
}

static bool is_address(const char *text)
{
    unsigned char out[16];
    return inet_pton(AF_INET, text, out) == 1 || inet_pton(AF_INET6, text, out) == 1;
}

/* Host without port and brackets; false: not of that form. */
static bool host_name(const char *host, char *out, size_t size)
{
    const char *end;
    if (*host == '[') {
        host++;
        end = strchr(host, ']');
        if (!end || (end[1] && end[1] != ':')) {
            return false;
        }
    } else {
        end = host + strcspn(host, ":");
    }
    const char *port = *end == ']' ? end + 1 : end;
    if (*port == ':' && strspn(port + 1, "0123456789") != strlen(port + 1)) {
        return false;
    }
    int len = snprintf(out, size, "%.*s", (int)(end - host), host);
    return len > 0 && (size_t)len < size;
}

bool host_allowed(const char *host, const char *bind)
{
    char name[256];
    if (!host || !host_name(host, name, sizeof name)) {
        return false;
    }
    if (strcasecmp(name, "localhost") == 0 || strcasecmp(name, bind) == 0) {
        return true;
    }
    /* bound to every address: it can be reached under any of them */
    bool any = strcmp(bind, "0.0.0.0") == 0 || strcmp(bind, "::") == 0;
    return any && is_address(name);
}

static bool local_gate(struct http_request *rq)
{
    struct ucred peer = {.uid = (uid_t)-1};
    socklen_t len = sizeof peer;
    if (getsockopt(http_client_fd(rq), SOL_SOCKET, SO_PEERCRED, &peer, &len) != 0 ||
        (peer.uid != 0 && peer.uid != geteuid())) {
        admin_fail(rq, &admin_forbidden, "only root and the service's own user may use this socket");
        return false;
    }
    rq->identity = arena_printf(&rq->arena, "uid %u", (unsigned)peer.uid);
    return true;
}

static bool tcp_gate(struct http_request *rq, const struct admin *a)
{
    if (!host_allowed(http_header(rq, "Host"), a->config.bind)) {
        admin_fail(rq, &admin_forbidden, "Host is not an address of the admin API");
        return false;
    }
    if (!token_right(a, http_header(rq, "Authorization"))) {
        admin_fail(rq, &admin_unauthorized, "the admin API's token is required in Authorization");
        return false;
    }
    rq->identity = "token";
    return true;
}

bool admin_gate(struct http_request *rq)
{
    const struct door *door = rq->context;
    if (door->admin->ending) {
        admin_unavailable(rq, "the service is ending");
        return false;
    }
    return door->local ? local_gate(rq) : tcp_gate(rq, door->admin);
}

const char *admin_caller(const struct http_request *rq)
{
    return rq->identity ? rq->identity : "unknown";
}
