/* pg_fixture.h - a private PostgreSQL 15 for one test program.
 *
 * Own data directory below /tmp, TCP on a free port of 127.0.0.1, no fsync, passwords required (scram). When
 * the test runs as root the server runs as the user `postgres`, since it refuses root. Stopped and removed by
 * pg_fixture_stop(), by process id only. PG_BIN overrides where the binaries are. */
#ifndef TEST_PG_FIXTURE_H
#define TEST_PG_FIXTURE_H

#include <arpa/inet.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <grp.h>
#include <libpq-fe.h>
#include <netinet/in.h>
#include <pwd.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define PG_SUPERUSER "postgres"
#define PG_PASSWORD  "test-super"

struct pg_fixture {
    char dir[64]; /* holds data/, the password file and the log */
    int port;
    pid_t pid; /* of the postmaster; 0: not running */
};

static inline void pg_fixture_die(const char *what)
{
    fprintf(stderr, "pg_fixture: %s (%s)\n", what, strerror(errno));
    exit(99);
}

static inline void pg_fixture_nap(void)
{
    nanosleep(&(struct timespec){.tv_nsec = 5000000}, NULL);
}

/* Runs a program of the server as a user that is not root, output into <dir>/log. */
static inline pid_t pg_fixture_spawn(const struct pg_fixture *f, char *const argv[])
{
    pid_t pid = fork();
    if (pid == 0) {
        char path[256];
        const char *bin = getenv("PG_BIN");
        snprintf(path, sizeof path, "%s/log", f->dir);
        int fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0666);
        dup2(fd, 1);
        dup2(fd, 2);
        if (geteuid() == 0) {
            const struct passwd *pw = getpwnam("postgres");
            if (!pw || initgroups("postgres", pw->pw_gid) || setgid(pw->pw_gid) || setuid(pw->pw_uid)) {
                _exit(98);
            }
        }
        prctl(PR_SET_PDEATHSIG, SIGQUIT); /* a test that dies takes its server along */
        if (chdir(f->dir)) {
            _exit(98);
        }
        unsetenv("LD_PRELOAD");
        setenv("LC_ALL", "C.UTF-8", 1);
        snprintf(path, sizeof path, "%s/%s", bin ? bin : "/usr/lib/postgresql/15/bin", argv[0]);
        ((char **)(uintptr_t)argv)[0] =
            path; /* initdb looks for postgres beside its own name, not in PATH only */
        execv(path, argv);
        _exit(127);
    }
    return pid;
}

static inline void pg_fixture_hush(void *arg, const char *message)
{
    (void)arg;
    (void)message;
}

static inline int pg_fixture_free_port(void)
{
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof a;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0 || bind(fd, (struct sockaddr *)&a, sizeof a) || getsockname(fd, (struct sockaddr *)&a, &len)) {
        pg_fixture_die("no free port");
    }
    close(fd);
    return ntohs(a.sin_port);
}

/* A superuser's connection to a database; the caller ends it with PQfinish(). NULL when it is refused. */
static inline PGconn *pg_fixture_connect_as(const struct pg_fixture *f, const char *database,
                                            const char *user, const char *password)
{
    char port[16];
    snprintf(port, sizeof port, "%d", f->port);
    const char *const keys[] = {"host",    "port",       "dbname", "user", "password", "connect_timeout",
                                "sslmode", "gssencmode", NULL};
    const char *const values[] = {"127.0.0.1", port,      database,  user, password,
                                  "10",        "disable", "disable", NULL};
    PGconn *pg = PQconnectdbParams(keys, values, 0);
    if (PQstatus(pg) != CONNECTION_OK) {
        PQfinish(pg);
        return NULL;
    }
    PQsetNoticeProcessor(pg, pg_fixture_hush, NULL);
    return pg;
}

static inline PGconn *pg_fixture_connect(const struct pg_fixture *f, const char *database)
{
    PGconn *pg = pg_fixture_connect_as(f, database, PG_SUPERUSER, PG_PASSWORD);
    if (!pg) {
        pg_fixture_die("the superuser's connection is refused");
    }
    return pg;
}

static inline void pg_fixture_launch(struct pg_fixture *f)
{
    char port[16], data[80];
    snprintf(port, sizeof port, "%d", f->port);
    snprintf(data, sizeof data, "%s/data", f->dir);
    /* clang-format off */
    char *argv[] = {(char *)"postgres", (char *)"-D", data, (char *)"-p", port, (char *)"-h", (char *)"127.0.0.1",
                    (char *)"-k", (char *)"", (char *)"-F", (char *)"-c", (char *)"shared_buffers=16MB",
                    (char *)"-c", (char *)"max_connections=40", (char *)"-c", (char *)"autovacuum=off",
                    (char *)"-c", (char *)"full_page_writes=off", NULL};
    /* clang-format on */
    f->pid = pg_fixture_spawn(f, argv);
    for (int i = 0; i < 6000; i++) { /* 30 s */
        PGconn *pg = pg_fixture_connect_as(f, "postgres", PG_SUPERUSER, PG_PASSWORD);
        if (pg) {
            PQfinish(pg);
            return;
        }
        if (waitpid(f->pid, NULL, WNOHANG) == f->pid) {
            f->pid = 0;
            pg_fixture_die("the server ended while it started, see its log");
        }
        pg_fixture_nap();
    }
    pg_fixture_die("the server does not answer");
}

/* Makes the cluster and starts it. Ends the program when it cannot. */
static inline void pg_fixture_start(struct pg_fixture *f)
{
    char path[96];
    int status;
    memset(f, 0, sizeof *f);
    strcpy(f->dir, "/tmp/pcs-pg-XXXXXX");
    if (!mkdtemp(f->dir)) {
        pg_fixture_die("mkdtemp");
    }
    snprintf(path, sizeof path, "%s/password", f->dir);
    FILE *file = fopen(path, "w");
    if (!file || fprintf(file, "%s\n", PG_PASSWORD) < 0 || fclose(file)) {
        pg_fixture_die("password file");
    }
    chmod(path, 0644); /* a test's password */
    if (geteuid() == 0) {
        const struct passwd *pw = getpwnam("postgres");
        if (!pw || chown(f->dir, pw->pw_uid, pw->pw_gid)) {
            pg_fixture_die("no user postgres to run the server as");
        }
    }
    char pwfile[112];
    snprintf(pwfile, sizeof pwfile, "--pwfile=%s", path);
    char *argv[] = {(char *)"initdb",
                    (char *)"--no-sync",
                    (char *)"-D",
                    (char *)"data",
                    (char *)"-U",
                    (char *)PG_SUPERUSER,
                    pwfile,
                    (char *)"--auth=scram-sha-256",
                    (char *)"--encoding=UTF8",
                    (char *)"--locale=C.UTF-8",
                    NULL};
    pid_t pid = pg_fixture_spawn(f, argv);
    if (waitpid(pid, &status, 0) != pid || status != 0) {
        pg_fixture_die("initdb failed, see its log");
    }
    f->port = pg_fixture_free_port();
    pg_fixture_launch(f);
}

/* Signals the postmaster and its children (each backend is a session of its own), the postmaster first, so
 * that nothing new is forked meanwhile. */
static inline void pg_fixture_signal_all(const struct pg_fixture *f, int sig)
{
    kill(f->pid, sig);
    DIR *proc = opendir("/proc");
    for (struct dirent *e; proc && (e = readdir(proc));) {
        char path[300], text[512];
        int pid = atoi(e->d_name), parent = 0;
        if (pid <= 0) {
            continue;
        }
        snprintf(path, sizeof path, "/proc/%d/stat", pid);
        int fd = open(path, O_RDONLY | O_CLOEXEC);
        ssize_t n = fd < 0 ? 0 : read(fd, text, sizeof text - 1);
        if (fd >= 0) {
            close(fd);
        }
        text[n > 0 ? n : 0] = '\0';
        const char *rest = strrchr(text, ')');
        if (rest && sscanf(rest, ") %*c %d", &parent) == 1 && parent == f->pid) {
            kill(pid, sig);
        }
    }
    if (proc) {
        closedir(proc);
    }
}

/* Hangs the server: connections are accepted by the kernel, nothing is answered. */
static inline void pg_fixture_pause(const struct pg_fixture *f)
{
    pg_fixture_signal_all(f, SIGSTOP);
}

static inline void pg_fixture_resume(const struct pg_fixture *f)
{
    pg_fixture_signal_all(f, SIGCONT);
}

/* Ends the server at once, as a crash would (sig SIGKILL or SIGQUIT) or in order (SIGINT); data stays. */
static inline void pg_fixture_down(struct pg_fixture *f, int sig)
{
    if (f->pid) {
        if (sig == SIGKILL) {
            pg_fixture_signal_all(f, SIGKILL);
        } else {
            kill(f->pid, sig);
            pg_fixture_signal_all(f, SIGCONT);
        }
        waitpid(f->pid, NULL, 0);
        f->pid = 0;
    }
}

/* Starts it again on the same port. */
static inline void pg_fixture_up(struct pg_fixture *f)
{
    char path[96];
    snprintf(path, sizeof path, "%s/data/postmaster.pid", f->dir);
    unlink(path); /* left by a crash */
    pg_fixture_launch(f);
}

static inline int pg_fixture_remove(const char *path, const struct stat *st, int flag, struct FTW *ftw)
{
    (void)st;
    (void)flag;
    (void)ftw;
    return remove(path);
}

static inline void pg_fixture_stop(struct pg_fixture *f)
{
    pg_fixture_down(f, SIGQUIT);
    nftw(f->dir, pg_fixture_remove, 16, FTW_DEPTH | FTW_PHYS);
}

/* Runs a statement that must succeed; the caller clears the result. */
static inline PGresult *pg_fixture_query(PGconn *pg, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
static inline PGresult *pg_fixture_query(PGconn *pg, const char *format, ...)
{
    char sql[4096];
    va_list args;
    va_start(args, format);
    vsnprintf(sql, sizeof sql, format, args);
    va_end(args);
    PGresult *r = PQexec(pg, sql);
    if (PQresultStatus(r) != PGRES_COMMAND_OK && PQresultStatus(r) != PGRES_TUPLES_OK) {
        fprintf(stderr, "pg_fixture: %s: %s", sql, PQerrorMessage(pg));
        exit(99);
    }
    return r;
}

/* The first value of the first row as a number, -1 when there is none. */
static inline long pg_fixture_number(PGconn *pg, const char *sql)
{
    PGresult *r = pg_fixture_query(pg, "%s", sql);
    long n = PQntuples(r) && !PQgetisnull(r, 0, 0) ? atol(PQgetvalue(r, 0, 0)) : -1;
    PQclear(r);
    return n;
}

static inline void pg_fixture_do(PGconn *pg, const char *sql)
{
    PQclear(pg_fixture_query(pg, "%s", sql));
}

/* The SQLSTATE a statement fails with, "" when it succeeds; out has room for 6 bytes. */
static inline char *pg_fixture_state(PGconn *pg, const char *sql, char *out)
{
    PGresult *r = PQexec(pg, sql);
    const char *state = PQresultErrorField(r, PG_DIAG_SQLSTATE);
    snprintf(out, 6, "%s", state ? state : "");
    PQclear(r);
    return out;
}

#endif
