/* A delivery: one mail, one envelope, one back end; and the table of back ends.
 *
 *   made by the job ──start──► back end ──ask──► job asks the broker ──permit──► back end ──done──► job
 *
 * One round for each delivery: start once, ask once, permit once (after ask), done exactly once, and nothing after it.
 * A back end that fails before it needs a permit calls done without asking. done always tells every recipient. */
#ifndef TPN_DELIVER_H
#define TPN_DELIVER_H

#include "address.h"
#include "buf.h"
#include "loop.h"
#include "outcome.h"
#include "pb.h"
#include "settings.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    DELIVER_ENHANCED_BYTES = 12, /* "5.7.139" and a NUL */
    DELIVER_TEXT_BYTES = 512,
    DELIVER_SERVER_BYTES = 280,
    DELIVER_QUEUE_ID_BYTES = 80,
    DELIVER_MESSAGE_ID_BYTES = 320
};

/* One recipient: where it goes, and what became of it. */
struct deliver_recipient {
    char address[ADDRESS_MAX_BYTES + 1]; /* as the envelope spells it: domain in A-labels */
    bool needs_utf8;                     /* only an SMTPUTF8 server can take it */
    uint32_t index;                      /* in the request: over to, cc, bcc in this order */
    /* out */
    int outcome; /* PB_OUTCOME(…): DELIVERED, REFUSED, DEFERRED or UNKNOWN once it is done */
    int class;   /* PB_CLASS(…) */
    int phase;   /* PB_PHASE(…) */
    unsigned code; /* SMTP reply code, 0 = no reply */
    char enhanced[DELIVER_ENHANCED_BYTES];
    char *text;   /* the server's words, or ours; owned by the delivery; null = "" */
    uint8_t turn; /* the back end's own */
};

struct delivery {
    /* What the job sets; fixed from start to done. */
    const struct settings_plan *plan; /* lives at least as long as the delivery */
    uint64_t
        profile_version; /* connections are kept by this; 0 = settings of this one request */
    uint64_t lease;      /* names the delivery in logs; unique with part */
    uint32_t part;
    const char *producer; /* whose request this is, and which; live as long as the delivery */
    const char *request_id;
    char mail_from[ADDRESS_MAX_BYTES + 1];
    bool needs_utf8;                           /* some header or the sender needs SMTPUTF8 */
    char message_id[DELIVER_MESSAGE_ID_BYTES]; /* without < > */
    char file_name
        [128]; /* pickup: the predictable name without extension, unique for request and part */
    struct buf
        content; /* RFC 5322 bytes: CRLF only, 7-bit, no line begins with '.', ends in CRLF */
    struct deliver_recipient *recipients;
    size_t recipient_count; /* 1 and up */
    bool look_only; /* find out whether an earlier attempt delivered this; send nothing */
    bool want_delivery_receipt;
    const struct deliver_owner *owner; /* whom to call */
    void *owner_arg;

    /* What the back end sets before done. */
    char server[DELIVER_SERVER_BYTES]; /* host:port that answered, or the folder */
    char tls_version[16];              /* "TLSv1.3", or "" */
    char queue_id[DELIVER_QUEUE_ID_BYTES];
    bool handed_off;

    void *backend_state; /* the back end's own */
};

/* The job's ear. All may be called from inside start or permit. */
struct deliver_owner {
    void (*ask)(void *arg, struct delivery *delivery);
    /* Permitted, and the first byte of the content (the rename, the hand-over) comes now. May be null. */
    void (*begin)(void *arg, struct delivery *delivery);
    void (*done)(void *arg, struct delivery *delivery);
    /* The server takes no SMTPUTF8: make the content anew without it, where only recipients in the headers need it. Returns false
     * when it cannot be; then nothing has changed. May be null. */
    bool (*without_utf8)(void *arg, struct delivery *delivery);
};

enum deliver_permit { DELIVER_GRANTED, DELIVER_DENIED };

struct egress;

/* What the pickup back end needs to follow files after their hand-over; look_ms 0 = it does not. */
struct deliver_follow {
    uint32_t look_ms;     /* between two looks at a folder */
    uint32_t stale_ms;    /* a file that lies so long is told of */
    const char *instance; /* of the worker; stands in the traces */
    /* Something to be told to the broker until it is acknowledged (deliver_backend.acknowledged). Borrowed for the call. */
    void (*note)(void *arg, const PB(JobResult) *fate);
    /* Is everything else of that lease reported and acknowledged? */
    bool (*is_over)(void *arg, uint64_t lease);
    void *arg;
};

struct deliver_context {
    struct loop *loop;
    const char *helo_name;           /* default for EHLO */
    const char *const *pickup_roots; /* folders below which pickup may write; null-terminated */
    unsigned pickup_threads;
    struct deliver_follow follow;
    const struct egress *
        egress; /* where may be connected to; null = nothing beyond the defaults. Outlives the back ends */
    bool
        keeps_diary; /* a kill does not make UNKNOWN of what was only permitted: permits may be asked for early */
};

/* A back end. One instance a worker. */
struct deliver_backend {
    const char *name;
    enum err (*open)(const struct deliver_context *context, void **self, struct err_text *why);
    void (*start)(void *self, struct delivery *delivery);
    void (*permit)(void *self, struct delivery *delivery, enum deliver_permit permit);
    /* No new delivery will come; when the last one is done, close connections in good order. */
    void (*drain)(void *self);
    /* RESULT_OK for that part: of its result, or of what was noted last. May be null. */
    void (*acknowledged)(void *self, uint64_t lease, uint32_t part);
    /* Of the connections of that profile version at most so many, until told otherwise. Null = it makes none. */
    void (*limit)(void *self, uint64_t profile_version, uint32_t connections);
    /* How many that version may have open now: the greater of its limit and of those that are. Null with limit. */
    uint32_t (*open_of)(void *self, uint64_t profile_version);
    void (*close)(void **self); /* deliveries still under way are given up without done */
};

extern const struct deliver_backend deliver_smtp;
extern const struct deliver_backend deliver_pickup;
extern const struct deliver_backend deliver_client;

/* The back end of a route, never null. */
const struct deliver_backend *deliver_backend_of(enum settings_route route);

/* Set one recipient's outcome. text may be null; it is copied, cut at DELIVER_TEXT_BYTES, control bytes replaced. */
void deliver_set(struct deliver_recipient *recipient, struct outcome outcome, int phase,
                 unsigned code, const char *enhanced, const char *text);

/* Set every recipient that has no outcome yet (PB_OUTCOME(PENDING)). */
void deliver_set_rest(struct delivery *delivery, struct outcome outcome, int phase,
                      unsigned code, const char *enhanced, const char *text);

/* Make a line of UTF-8 of what a server said: control characters and bytes that are none go, whole characters stay.
 *  out   room bytes, not ended by NUL
 * Returns how many were written. */
size_t deliver_clean(char *out, size_t room, const char *text);

/* Free recipients and content; the struct itself is the owner's. Accepts a zeroed one. */
void delivery_fini(struct delivery *delivery);

#endif
