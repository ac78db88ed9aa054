/* adapter.c - hiredis on libuv.
 *
 * hiredis' own libuv adapter ignores a poll error and so never notices a refused or a reset connection; this
 * one hands it on as a read, which fails and ends the context. hiredis also stops the whole process (assert)
 * on a reply that nobody asked for and allocates whatever a length in a reply asks for; the reader's object
 * functions are wrapped, so that both end the connection instead: a Redis full of garbage is a miss
 * (CONTRACT.md 4). */
#include "redis/link.h"

#include <hiredis/sds.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ARRAY_MAX                                                                                            \
    16 /* nothing that we ask is answered by a long or a nested one, which could fill the memory */
#define KEPT_MAX  ((size_t)64 * 1024)
#define KEPT_MARK SIZE_MAX /* in .elements, which a string does not use */

/* ---- the reader's object functions ---- */

/* hiredis keeps the callbacks that wait for replies in ac->replies; with none there, a reply is one too many.
 */
static bool unexpected(const redisReadTask *task)
{
    const struct redis_conn *conn = task->privdata;
    return !task->parent && task->type != REDIS_REPLY_ERROR && conn->ac && !conn->ac->replies.head;
}

/* A string on its own is put into memory that the connection keeps: one answer is freed before the next is read. */
static void *keep_string(struct redis_conn *conn, const char *text, size_t len)
{
    if (len >= conn->answer_cap) {
        size_t cap = (len | 4095) + 1;
        char *grown = realloc(conn->answer_text, cap);
        if (!grown) {
            return NULL;
        }
        conn->answer_text = grown;
        conn->answer_cap = cap;
    }
    memcpy(conn->answer_text, text, len);
    conn->answer_text[len] = '\0';
    conn->answer =
        (redisReply){.type = REDIS_REPLY_STRING, .str = conn->answer_text, .len = len, .elements = KEPT_MARK};
    return &conn->answer;
}

static void *create_string(const redisReadTask *task, char *text, size_t len)
{
    struct redis_conn *conn = task->privdata;
    if (unexpected(task)) {
        return NULL;
    }
    if (!task->parent && task->type == REDIS_REPLY_STRING && len <= KEPT_MAX) {
        return keep_string(conn, text, len);
    }
    return conn->plain->createString(task, text, len);
}

static void free_answer(void *reply)
{
    const redisReply *r = reply;
    if (r && (r->type != REDIS_REPLY_STRING || r->elements != KEPT_MARK)) {
        freeReplyObject(reply);
    }
}

static void *create_array(const redisReadTask *task, int elements)
{
    const struct redis_conn *conn = task->privdata;
    return unexpected(task) || task->parent || elements > ARRAY_MAX
               ? NULL
               : conn->plain->createArray(task, elements);
}

static void *create_integer(const redisReadTask *task, long long value)
{
    const struct redis_conn *conn = task->privdata;
    return unexpected(task) ? NULL : conn->plain->createInteger(task, value);
}

static void *create_nil(const redisReadTask *task)
{
    const struct redis_conn *conn = task->privdata;
    return unexpected(task) ? NULL : conn->plain->createNil(task);
}

static void guard_reader(struct redis_conn *conn)
{
    redisReader *reader = conn->ac->c.reader;
    conn->plain = reader->fn;
    conn->functions = (redisReplyObjectFunctions){
        .createString = create_string,
        .createArray = create_array,
        .createInteger = create_integer,
        .createNil = create_nil,
        .freeObject = free_answer,
    };
    reader->fn = &conn->functions;
    reader->privdata = conn;
}

/* ---- events ---- */

static void on_poll_closed(uv_handle_t *handle)
{
    struct redis_conn *conn = handle->data;
    struct redis_link *link = conn->link;
    free(conn->answer_text);
    free(conn);
    link_conn_closed(link);
}

static void on_poll(uv_poll_t *handle, int status, int events)
{
    struct redis_conn *conn = handle->data;
    if (status < 0) { /* libuv has stopped the handle: whatever happens, this connection has no future */
        conn->events = 0;
        conn_read(conn);
        if (conn->ac) {
            conn_end(conn);
        }
        return;
    }
    if (events & UV_READABLE) {
        conn_read(conn);
    }
    if (conn->ac && (events & UV_WRITABLE)) {
        redisAsyncHandleWrite(conn->ac);
    }
}

static void watch(struct redis_conn *conn, int events)
{
    if (events == conn->events) {
        return;
    }
    conn->events = events;
    if (events) {
        uv_poll_start(&conn->poll, events, on_poll);
    } else {
        uv_poll_stop(&conn->poll);
    }
}

static void add_read(void *arg)
{
    struct redis_conn *conn = arg;
    watch(conn, conn->events | UV_READABLE);
}

static void del_read(void *arg)
{
    struct redis_conn *conn = arg;
    watch(conn, conn->events & ~UV_READABLE);
}

/* A new command alone is written at the end of the turn, together with all others of it. */
static void add_write(void *arg)
{
    struct redis_conn *conn = arg;
    if (conn->appending && (conn->ac->c.flags & REDIS_CONNECTED)) {
        conn->link->dirty = true;
        link_busy(conn->link);
        return;
    }
    watch(conn, conn->events | UV_WRITABLE);
}

static void del_write(void *arg)
{
    struct redis_conn *conn = arg;
    watch(conn, conn->events & ~UV_WRITABLE);
}

/* The one notice that hiredis gives however a context ends, before it closes the descriptor. */
static void cleanup(void *arg)
{
    struct redis_conn *conn = arg;
    redisAsyncContext *ac = conn->ac;
    if (!ac) {
        return;
    }
    conn->ac = NULL;
    uv_poll_stop(&conn->poll);
    uv_close((uv_handle_t *)&conn->poll, on_poll_closed);
    link_conn_ended(conn, ac->c.errstr[0] ? ac->c.errstr : "connection closed");
}

static void on_connect(const redisAsyncContext *ac, int status)
{
    struct redis_conn *conn = ac->data;
    if (status == REDIS_OK) {
        link_conn_connected(conn);
    }
}

/* ---- for link.c and command.c ---- */

struct redis_conn *conn_open(struct redis_link *link, const char *address, char *reason, size_t len)
{
    struct redis_conn *conn = calloc(1, sizeof *conn);
    redisAsyncContext *ac = conn ? redisAsyncConnect(address, (int)link->config.port) : NULL;
    if (!ac || ac->err) {
        snprintf(reason, len, "%s", ac && ac->errstr && ac->errstr[0] ? ac->errstr : "out of memory");
        goto fail;
    }
    int rc = uv_poll_init(&link->reactor->loop, &conn->poll, ac->c.fd);
    if (rc) {
        snprintf(reason, len, "poll: %s", uv_strerror(rc));
        goto fail;
    }
    conn->link = link;
    conn->ac = ac;
    conn->poll.data = conn;
    guard_reader(conn);
    ac->data = conn;
    ac->ev.data = conn;
    ac->ev.addRead = add_read;
    ac->ev.delRead = del_read;
    ac->ev.addWrite = add_write;
    ac->ev.delWrite = del_write;
    ac->ev.cleanup = cleanup;
    redisAsyncSetConnectCallback(ac, on_connect); /* watches for writable, which is "connected" */
    return conn;

fail:
    if (ac) {
        redisAsyncFree(ac);
    }
    free(conn);
    return NULL;
}

void conn_read(struct redis_conn *conn)
{
    redisAsyncHandleRead(conn->ac);
    if (conn->ac && conn->ac->c.reader->len > LINK_ANSWER_MAX) {
        conn_end(conn);
    }
}

void conn_flush(struct redis_conn *conn)
{
    redisAsyncHandleWrite(conn->ac);
}

void conn_end(struct redis_conn *conn)
{
    redisAsyncFree(conn->ac);
}

size_t conn_unwritten(const struct redis_conn *conn)
{
    return sdslen(conn->ac->c.obuf);
}

/* hiredis 0.14 does not say when it had no memory for the callback or for the bytes: looked up afterwards,
 * since from then on replies would go to the wrong commands. */
bool conn_append(struct redis_conn *conn, const struct buf *command, redisCallbackFn *fn, void *arg,
                 bool *broken)
{
    redisAsyncContext *ac = conn->ac;
    size_t before = conn_unwritten(conn);
    conn->appending = true;
    int rc = redisAsyncFormattedCommand(ac, fn, arg, command->data, command->len);
    conn->appending = false;
    bool registered = rc == REDIS_OK && ac->replies.tail && ac->replies.tail->privdata == arg;
    *broken = !registered || ac->c.err || conn_unwritten(conn) != before + command->len;
    return registered;
}
