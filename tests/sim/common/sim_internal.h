/* What sim_http.c and sim_reply.c share. */
#ifndef SIM_INTERNAL_H
#define SIM_INTERNAL_H

#include "sim_http.h"

#include <microhttpd.h>

struct sim_server {
    struct MHD_Daemon *daemon;
    const struct sim_route *routes;
    void *app;
    int epoll; /* ours: libmicrohttpd's epoll descriptor, signals, sockets of held requests */
    int signals;
    bool run_again; /* a connection was resumed: libmicrohttpd must run before we wait */
    bool stopping;
    struct sim_timers timers;
    struct sim_req held; /* list head: every suspended request */
};

int sim_req_fd(const struct sim_req *req);
/* Resumes a held request; its connection goes on in the next MHD_run. */
void sim_resume(struct sim_req *req);
/* Sends RST at once; the descriptor stays open for libmicrohttpd to close. */
void sim_reset_socket(struct sim_req *req);

#endif
