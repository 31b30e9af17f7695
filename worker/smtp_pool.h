/* The connections of one mail profile, and the mails that wait for them.
 *
 *   start ─► queue (FIFO) ─► a connection that is idle, else one that is busy (rider), else a new one
 *
 * Connections belong to one set of settings and are never shared between profiles. */
#ifndef TPN_SMTP_POOL_H
#define TPN_SMTP_POOL_H

#include "deliver.h"
#include "smtp_mail.h"
#include "smtp_multi.h"
#include "smtp_transaction.h"

struct smtp_pool;

struct smtp_pool_setup {
    struct loop *loop;
    struct smtp_multi *multi;
    struct oauth *oauth;
    const char *helo_name;
    const struct egress *egress; /* see deliver_context */
    bool ask_ahead;              /* permits may be asked for before a connection is free */
    /* The pool has had neither connection nor mail for a while: may be freed, also from inside the call. */
    void (*unused)(void *arg, struct smtp_pool *pool);
    void *unused_arg;
    /* PIPELINING_AUTO begins with at most this mode: what was learnt about the server before. */
    enum smtp_mode most;
    /* The server stumbled over a mode, this one is left. */
    void (*lowered)(void *arg, const struct settings_plan *plan, enum smtp_mode mode);
    void *lowered_arg;
};

/* A pool for a plan, which is copied. */
struct smtp_pool *smtp_pool_new(const struct smtp_pool_setup *setup,
                                const struct settings_plan *plan);
/* Closes all connections; mails still there are given up without done. Accepts null. */
void smtp_pool_free(struct smtp_pool **pool);

/* True when the plan asks for the very same connections. */
bool smtp_pool_fits(const struct smtp_pool *pool, const struct settings_plan *plan);

/* True when it has neither connection nor mail. */
bool smtp_pool_is_unused(const struct smtp_pool *pool);

/* Deliver; ends in owner->done of the delivery. */
void smtp_pool_start(struct smtp_pool *pool, struct delivery *delivery);
void smtp_pool_permit(struct smtp_mail *mail, enum deliver_permit permit);

/* At most so many connections: what is more is closed as it becomes idle. 0 = one, while something waits. */
void smtp_pool_limit(struct smtp_pool *pool, uint32_t connections);
/* Connections that are open or being opened. */
size_t smtp_pool_links(const struct smtp_pool *pool);

/* Close each connection as soon as nothing waits for it; `unused` follows at once when all
 * are closed. */
void smtp_pool_retire(struct smtp_pool *pool);

#endif
