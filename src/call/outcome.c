/* outcome.c - what curl's result means: which error, and how far the request went.
 *
 * The question that matters is "can the other side have seen it?" (CONTRACT.md 2, Order). The answer does not
 * rest on error codes alone: curl tells each time it is about to write a request (attempts), how many bytes
 * of it went out (REQUEST_SIZE) and when it fetches the body. Not sent is claimed only if nothing went out,
 * and either curl never came to the point of writing or the end was one of connecting. In doubt it is
 * CALL_MAYBE_SENT. */
#include "call/client.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

static const char *const names[] = {
    [CALL_OK] = "ok",
    [CALL_REFUSED] = "refused",
    [CALL_CONNECT_TIMEOUT] = "connect_timeout",
    [CALL_DNS] = "dns",
    [CALL_TLS] = "tls",
    [CALL_TIMEOUT] = "timeout",
    [CALL_RESET] = "reset",
    [CALL_TOO_LARGE] = "too_large",
    [CALL_PROTOCOL] = "protocol",
    [CALL_NO_MEMORY] = "no_memory",
    [CALL_SHUTDOWN] = "shutdown",
};

const char *call_error_name(enum call_error e)
{
    return (unsigned)e < sizeof names / sizeof names[0] ? names[e] : "unknown";
}

static bool nothing_written(const struct call *call)
{
    long head = 0;
    curl_off_t body = 0;
    curl_easy_getinfo(call->easy, CURLINFO_REQUEST_SIZE, &head);
    curl_easy_getinfo(call->easy, CURLINFO_SIZE_UPLOAD_T, &body);
    return head == 0 && body == 0 && !call->body_read;
}

static enum call_error connect_error(const struct call *call)
{
    long system_error = 0;
    curl_easy_getinfo(call->easy, CURLINFO_OS_ERRNO, &system_error);
    return system_error == ETIMEDOUT ? CALL_CONNECT_TIMEOUT : CALL_REFUSED;
}

/* curl has one code for all of its deadlines. */
static enum call_error timeout_error(const struct call *call)
{
    if (call->attempts > 0) {
        return CALL_TIMEOUT;
    }
    return strncmp(call->error, "Resolving", 9) == 0 ? CALL_DNS : CALL_CONNECT_TIMEOUT;
}

static enum call_error classify(const struct call *call, CURLcode code)
{
    if (call->too_large) {
        return call->cut && call->head_ended ? CALL_OK : CALL_TOO_LARGE;
    }
    if (call->no_http) {
        return CALL_PROTOCOL;
    }
    switch (code) {
    case CURLE_OK:
        return call->head_ended ? CALL_OK : CALL_RESET;
    case CURLE_COULDNT_CONNECT:
        return connect_error(call);
    case CURLE_COULDNT_RESOLVE_HOST:
    case CURLE_COULDNT_RESOLVE_PROXY:
        return CALL_DNS;
    case CURLE_OPERATION_TIMEDOUT:
        return timeout_error(call);
    case CURLE_FILESIZE_EXCEEDED:
        return CALL_TOO_LARGE;
    case CURLE_OUT_OF_MEMORY:
    case CURLE_FAILED_INIT:
    case CURLE_WRITE_ERROR:
        return CALL_NO_MEMORY;
    case CURLE_SEND_ERROR:
    case CURLE_RECV_ERROR:
    case CURLE_GOT_NOTHING:
    case CURLE_PARTIAL_FILE:
    case CURLE_SEND_FAIL_REWIND:
    case CURLE_ABORTED_BY_CALLBACK: /* an order that curl wanted to write again */
        return CALL_RESET;
    case CURLE_SSL_CONNECT_ERROR:
    case CURLE_SSL_CERTPROBLEM:
    case CURLE_SSL_CIPHER:
    case CURLE_PEER_FAILED_VERIFICATION:
    case CURLE_SSL_CACERT_BADFILE:
    case CURLE_SSL_ISSUER_ERROR:
    case CURLE_SSL_CRL_BADFILE:
    case CURLE_SSL_INVALIDCERTSTATUS:
    case CURLE_SSL_ENGINE_INITFAILED:
    case CURLE_SSL_PINNEDPUBKEYNOTMATCH:
        return CALL_TLS;
    default:
        return CALL_PROTOCOL;
    }
}

/* Errors of coming to a connection: with nothing written before them, nothing was sent. */
static bool while_connecting(enum call_error error)
{
    return error == CALL_REFUSED || error == CALL_CONNECT_TIMEOUT || error == CALL_DNS || error == CALL_TLS;
}

enum call_reach outcome_reach(const struct call *call)
{
    return call->attempts == 0 && nothing_written(call) ? CALL_NOT_SENT : CALL_MAYBE_SENT;
}

static enum call_reach reach_of(const struct call *call, enum call_error error)
{
    if (error == CALL_OK) {
        return CALL_ANSWERED;
    }
    if (while_connecting(error) && nothing_written(call)) {
        return CALL_NOT_SENT;
    }
    return outcome_reach(call);
}

void outcome_judge(struct call *call, CURLcode code, struct call_result *result)
{
    result->error = classify(call, code);
    result->reach = reach_of(call, result->error);
    result->reason = call->error[0] ? call->error : curl_easy_strerror(code);
    if (call->too_large) {
        result->reason =
            result->error == CALL_OK ? "the answer was cut" : "the answer is larger than allowed";
    } else if (call->no_http) {
        result->reason = "the answer's status line is none of HTTP";
    } else if (code == CURLE_ABORTED_BY_CALLBACK || code == CURLE_SEND_FAIL_REWIND) {
        result->reason = "the connection ended without an answer, and the request must not be sent again";
    } else if (code == CURLE_OK) {
        result->reason = call->head_ended ? "" : "the answer broke off in its head";
    }
}
