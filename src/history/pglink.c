/* pglink.c - asynchronous libpq with deadlines.
 *
 *   closed --pglink_open--> resolving -> connecting (address by address) -> session set up -> open
 *   open   --a deadline, *stop_at, the server's end, a session that is no use any more--> closed */
#include "history/pglink.h"

#include "history/received.h"
#include "history/resolve.h"
#include "pcs/core/clock.h"
#include "pcs/core/log.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define ANSWER_MAX ((uint64_t)64 << 20) /* bytes of one answer: libpq would keep gigabytes */

const char *history_fault_name(enum fault f)
{
    static const char *const names[] = {"none", "lost", "stopped", "busy", "schema", "row", "other"};
    return names[f];
}

enum fault history_fault_classify(const char *s)
{
    static const struct {
        const char *prefix;
        enum fault fault;
    } table[] = {
        {"08", FAULT_LOST},
        {"25006", FAULT_LOST}, /* read-only: a standby; another address may be the primary */
        {"26", FAULT_LOST},    /* our prepared statements are not there (a pooler): a new session */
        {"40", FAULT_BUSY},
        {"53", FAULT_BUSY},
        {"55", FAULT_BUSY},
        {"57", FAULT_BUSY},
        {"3F000", FAULT_SCHEMA},
        {"42P01", FAULT_SCHEMA},
        {"42883", FAULT_SCHEMA},
        {"42703", FAULT_SCHEMA},
        {"42501", FAULT_SCHEMA},
        {"22", FAULT_ROW},
        {"23", FAULT_ROW},
        {"54", FAULT_ROW}, /* a value too long for an index */
    };
    for (size_t i = 0; s && i < sizeof table / sizeof *table; i++) {
        if (strncmp(s, table[i].prefix, strlen(table[i].prefix)) == 0) {
            return table[i].fault;
        }
    }
    return FAULT_OTHER;
}

void pglink_close(struct pglink *l)
{
    PQfinish(l->pg);
    l->pg = NULL;
}

/* The first line only: DETAIL lines may quote a row. */
static void keep_error(struct pglink *l, const char *text)
{
    snprintf(l->error, sizeof l->error, "%.*s", (int)strcspn(text, "\n"), text);
}

static enum fault lose(struct pglink *l)
{
    if (l->pg) {
        keep_error(l, PQerrorMessage(l->pg));
        pglink_close(l);
    }
    if (!l->error[0]) {
        keep_error(l, "the connection ended");
    }
    return FAULT_LOST;
}

static uint64_t stop_at(const struct pglink *l)
{
    return l->stop_at ? atomic_load(l->stop_at) : UINT64_MAX;
}

static void hear(struct pglink *l)
{
    uint64_t count;
    if (read(l->wake_fd, &count, sizeof count) < 0) {
        return; /* rung off meanwhile */
    }
    if (l->on_wake) {
        l->on_wake(l->arg);
    }
}

/* Milliseconds for poll(), rounded up so that it does not spin just before the end. */
static int poll_ms(uint64_t until_ns)
{
    if (until_ns == UINT64_MAX) {
        return -1;
    }
    uint64_t now = clock_mono_ns();
    uint64_t ms = until_ns > now ? (until_ns - now + NS_PER_MS - 1) / NS_PER_MS : 0;
    return ms > 60000 ? 60000 : (int)ms;
}

enum fault pglink_wait(struct pglink *l, int fd, short events, uint64_t deadline_ns)
{
    for (;;) {
        uint64_t stop = stop_at(l), now = clock_mono_ns();
        if (now >= stop) {
            keep_error(l, "stopped");
            return FAULT_STOPPED;
        }
        struct pollfd fds[2] = {{.fd = fd, .events = events}, {.fd = l->wake_fd, .events = POLLIN}};
        int n = poll(fds, 2, poll_ms(deadline_ns < stop ? deadline_ns : stop));
        if (n > 0 && fds[0].revents) {
            return FAULT_NONE;
        }
        if (n > 0 && fds[1].revents) {
            hear(l);
        }
        if (clock_mono_ns() >= deadline_ns) {
            l->timed_out = true;
            keep_error(l, "no answer before the deadline");
            return FAULT_LOST;
        }
    }
}

/* A wait inside a statement: whatever ends it also ends the connection. */
static enum fault wait_or_close(struct pglink *l, short events, uint64_t deadline_ns)
{
    enum fault f = pglink_wait(l, PQsocket(l->pg), events, deadline_ns);
    if (f != FAULT_NONE) {
        pglink_close(l);
    }
    return f;
}

/* ---- connecting ---- */

struct pglink_target pglink_target_of(const struct history_config *c)
{
    return (struct pglink_target){.host = c->host,
                                  .port = c->port,
                                  .database = c->name,
                                  .username = c->username,
                                  .password = c->password,
                                  .sslmode = c->sslmode,
                                  .ca_file = c->ca_file,
                                  .client_cert = c->client_cert,
                                  .client_key = c->client_key};
}

static void on_notice(void *arg, const PGresult *notice)
{
    (void)arg;
    log_debug("history.notice", log_str("message", PQresultErrorField(notice, PG_DIAG_MESSAGE_PRIMARY)));
}

static PGconn *start_connect(const struct pglink_target *t, const struct resolve_address *a)
{
    char port[24];
    snprintf(port, sizeof port, "%lld", (long long)t->port);
    /* An empty value counts as not given. */
    const char *const options[][2] = {
        {"host", a->host},
        {"hostaddr", a->address},
        {"port", port},
        {"dbname", t->database},
        {"user", t->username},
        {"password", t->password},
        {"sslmode", t->sslmode && t->sslmode[0] ? t->sslmode : "prefer"},
        {"sslrootcert", t->ca_file},
        {"sslcert", t->client_cert},
        {"sslkey", t->client_key},
        {"ssl_min_protocol_version", "TLSv1.2"},
        {"gssencmode", "disable"},
        {"application_name", "product-change-service"},
        {"client_encoding", "UTF8"},
        {"target_session_attrs", "read-write"},
        {"connect_timeout", "3"},
        {"keepalives_idle", "30"},
        {"keepalives_interval", "10"},
        {"keepalives_count", "3"},
        {"tcp_user_timeout", "10000"},
    };
    enum { COUNT = sizeof options / sizeof *options };
    const char *keys[COUNT + 1], *values[COUNT + 1];
    for (size_t i = 0; i < COUNT; i++) {
        keys[i] = options[i][0];
        values[i] = options[i][1];
    }
    keys[COUNT] = values[COUNT] = NULL;
    return PQconnectStartParams(keys, values, 0);
}

static enum fault connect_to(struct pglink *l, const struct pglink_target *t, const struct resolve_address *a,
                             uint64_t deadline_ns)
{
    l->pg = start_connect(t, a);
    if (!l->pg) {
        keep_error(l, "no memory for a connection");
        return FAULT_LOST;
    }
    if (PQstatus(l->pg) == CONNECTION_BAD) {
        return lose(l);
    }
    PQsetNoticeReceiver(l->pg, on_notice, NULL);
    PostgresPollingStatusType next = PGRES_POLLING_WRITING;
    while (next != PGRES_POLLING_OK) {
        enum fault f = wait_or_close(l, next == PGRES_POLLING_READING ? POLLIN : POLLOUT, deadline_ns);
        if (f != FAULT_NONE) {
            return f;
        }
        next = PQconnectPoll(l->pg);
        if (next == PGRES_POLLING_FAILED) {
            return lose(l);
        }
    }
    return PQsetnonblocking(l->pg, 1) == 0 ? FAULT_NONE : lose(l);
}

/* Times are told in UTC; a commit that is acknowledged is on the server's disk, whatever the database's
 * default is; a query whose client is gone ends. */
static enum fault set_up_session(struct pglink *l, int64_t statement_timeout_ms, uint64_t deadline_ns)
{
    char sql[512];
    snprintf(sql, sizeof sql,
             "SET timezone = 'UTC'; SET datestyle = 'ISO'; SET search_path = pg_catalog, pg_temp;"
             " SET statement_timeout = %lld; SET client_connection_check_interval = '2s';"
             " SELECT set_config('synchronous_commit', 'on', false)"
             " WHERE current_setting('synchronous_commit') = 'off'",
             (long long)statement_timeout_ms);
    return pglink_exec(l, sql, deadline_ns, NULL);
}

bool pglink_open(struct pglink *l, const struct pglink_target *target, int64_t statement_timeout_ms,
                 uint64_t deadline_ns)
{
    struct resolve_list hosts;
    pglink_close(l);
    l->timed_out = false;
    l->sqlstate[0] = l->error[0] = '\0';
    uint64_t limit = clock_mono_ns() + PGLINK_CONNECT_NS;
    if (!history_resolve_hosts(l, target->host, limit < deadline_ns ? limit : deadline_ns, &hosts)) {
        return false;
    }
    for (size_t i = 0; i < hosts.count && clock_mono_ns() < stop_at(l); i++) {
        limit = clock_mono_ns() + PGLINK_CONNECT_NS;
        limit = limit < deadline_ns ? limit : deadline_ns;
        enum fault f = connect_to(l, target, &hosts.at[i], limit);
        if (f == FAULT_NONE) {
            f = set_up_session(l, statement_timeout_ms, limit);
        }
        if (f == FAULT_NONE) {
            return true;
        }
        pglink_close(l);
        if (f == FAULT_STOPPED || clock_mono_ns() >= deadline_ns) {
            break;
        }
    }
    return false;
}

/* ---- statements ---- */

static enum fault flush(struct pglink *l, uint64_t deadline_ns)
{
    int left;
    while ((left = PQflush(l->pg)) > 0) {
        enum fault f = wait_or_close(l, POLLIN | POLLOUT, deadline_ns);
        if (f != FAULT_NONE) {
            return f;
        }
        if (!PQconsumeInput(l->pg)) {
            return lose(l);
        }
    }
    return left < 0 ? lose(l) : FAULT_NONE;
}

/* What the result of a failed statement means. */
static enum fault judge(struct pglink *l, const PGresult *r)
{
    ExecStatusType status = PQresultStatus(r);
    if (status == PGRES_COMMAND_OK || status == PGRES_TUPLES_OK || status == PGRES_EMPTY_QUERY) {
        return FAULT_NONE;
    }
    if (status != PGRES_FATAL_ERROR && status != PGRES_BAD_RESPONSE) {
        keep_error(l, "the statement wants COPY data");
        pglink_close(l);
        return FAULT_OTHER;
    }
    const char *state = PQresultErrorField(r, PG_DIAG_SQLSTATE);
    const char *text = PQresultErrorField(r, PG_DIAG_MESSAGE_PRIMARY);
    snprintf(l->sqlstate, sizeof l->sqlstate, "%s", state ? state : "");
    keep_error(l, text ? text : PQresultErrorMessage(r));
    return history_fault_classify(state);
}

/* Takes what has come in. False: the connection is lost, or what it says has no end. */
static bool take_input(struct pglink *l, uint64_t before)
{
    if (!PQconsumeInput(l->pg)) {
        lose(l);
        return false;
    }
    if (history_received(PQsocket(l->pg)) - before > ANSWER_MAX) {
        pglink_close(l);
        keep_error(l, "the answer is larger than 64 MiB");
        return false;
    }
    return true;
}

/* Collects the whole answer to what was sent. Of several results the first failure, else the last one. */
static enum fault collect(struct pglink *l, bool sent, uint64_t deadline_ns, PGresult **result)
{
    PGresult *r, *last = NULL;
    l->sqlstate[0] = l->error[0] = '\0';
    l->timed_out = false;
    uint64_t before = sent ? history_received(PQsocket(l->pg)) : 0;
    enum fault f = sent ? flush(l, deadline_ns) : lose(l), verdict = FAULT_NONE;
    while (f == FAULT_NONE) {
        while (f == FAULT_NONE && PQisBusy(l->pg)) {
            f = wait_or_close(l, POLLIN, deadline_ns);
            if (f == FAULT_NONE && !take_input(l, before)) {
                f = FAULT_LOST;
            }
        }
        if (f != FAULT_NONE || !(r = PQgetResult(l->pg))) {
            break;
        }
        if (verdict == FAULT_NONE) {
            verdict = judge(l, r);
            f = l->pg ? FAULT_NONE : verdict;
        }
        PQclear(last);
        last = r;
    }
    f = f != FAULT_NONE ? f : verdict;
    if (l->pg && (PQstatus(l->pg) == CONNECTION_BAD || f == FAULT_LOST)) {
        pglink_close(l); /* e.g. 57P01: the server said goodbye */
        f = FAULT_LOST;
    }
    if (f == FAULT_NONE && result) {
        *result = last;
    } else {
        PQclear(last);
    }
    return f;
}

enum fault pglink_exec(struct pglink *l, const char *sql, uint64_t deadline_ns, PGresult **result)
{
    return collect(l, l->pg && PQsendQuery(l->pg, sql), deadline_ns, result);
}

enum fault pglink_params(struct pglink *l, const char *sql, int count, const char *const *values,
                         uint64_t deadline_ns, PGresult **result)
{
    return collect(l, l->pg && PQsendQueryParams(l->pg, sql, count, NULL, values, NULL, NULL, 0), deadline_ns,
                   result);
}

enum fault pglink_prepare(struct pglink *l, const char *name, const char *sql, uint64_t deadline_ns)
{
    return collect(l, l->pg && PQsendPrepare(l->pg, name, sql, 0, NULL), deadline_ns, NULL);
}

enum fault pglink_run(struct pglink *l, const char *name, int count, const char *const *values,
                      uint64_t deadline_ns, PGresult **result)
{
    return collect(l, l->pg && PQsendQueryPrepared(l->pg, name, count, values, NULL, NULL, 0), deadline_ns,
                   result);
}

void pglink_sleep(struct pglink *l, uint64_t until_ns)
{
    uint64_t stop = stop_at(l);
    struct pollfd fds[2] = {{.fd = l->wake_fd, .events = POLLIN}, {.fd = -1, .events = POLLIN}};
    if (l->pg) {
        fds[1].fd = PQsocket(l->pg);
    }
    if (poll(fds, 2, poll_ms(until_ns < stop ? until_ns : stop)) <= 0) {
        return;
    }
    if (fds[1].revents && (!PQconsumeInput(l->pg) || PQstatus(l->pg) == CONNECTION_BAD)) {
        lose(l);
    } else if (fds[1].revents) {
        PQisBusy(l->pg); /* parses notices, so that they are told */
    }
    if (fds[0].revents) {
        hear(l);
    }
}
