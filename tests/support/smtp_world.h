/* The smtp back end, a fake server and the job's side of a few mails, all in one loop. */
#ifndef TPN_SMTP_WORLD_H
#define TPN_SMTP_WORLD_H

#include "deliver.h"
#include "fake_smtp.h"

enum { MAILS = 8, RECIPIENTS = 4 };

enum permits { PERMIT_AT_ONCE, PERMIT_NEVER, PERMIT_DENIED, PERMIT_BY_HAND };

struct world {
    struct loop *loop;
    struct fake fake;
    void *backend;
    struct settings_plan plan;
    struct delivery mails[MAILS];
    bool over[MAILS];
    bool asked[MAILS];
    unsigned asks;
    unsigned done;
    enum permits permits;
};

/* Lists of recipients: one that is welcome, one that is refused. */
extern const char *const world_to_a[];
extern const char *const world_to_no[];

/* A server of that manner and a back end with a plan for it: one connection, no TLS, no login, permits at once. */
void world_open(struct world *w, const struct manner *manner);
void world_close(struct world *w);

/* Start mail i for the recipients (addresses, null-terminated), with the world's plan or with another. */
struct delivery *world_start(struct world *w, size_t i, const char *const *recipients);
struct delivery *world_start_as(struct world *w, size_t i, const char *const *recipients,
                                const struct settings_plan *plan, uint64_t version);

/* Start so many mails to world_to_a. */
void world_start_many(struct world *w, size_t count);

/* Turn the loop until the counter is there; fails the test when it takes too long. */
void world_turn_until(struct world *w, const unsigned *counter, unsigned wanted);

/* Let everything that is ready happen. */
void world_settle(struct world *w);

/* Did these bytes come to the server? */
bool world_saw(const struct world *w, const char *text);

/* The first recipient of each of the first mails has this outcome. */
void world_assert_all(const struct world *w, size_t count, int outcome);

#endif
