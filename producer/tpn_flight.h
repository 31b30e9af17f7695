/* Inside libtpn: requests on their way to a receipt.
 *
 *            add                    sent                  receipt, or deadline
 *     ( ) ────────► QUEUED ───────────────────► SENT ───────────────────────► DONE
 *                     ▲  ▲   no receipt in time,  │                             ▲
 *                     │  └── connection came back ┘ receipt BUSY                │
 *                     └───────────── PAUSED ◄───────┘ ──────────────────────────┘
 *
 * Requests that go out for the first time go together, as SUBMITS, to a broker that said with a receipt on this connection that it
 * takes them; what has to go out again goes alone, as SUBMIT, which every broker takes. So a broker that was exchanged for an
 * older one behind the same address costs one refused message and no request.
 *
 * | state  | the broker has it | who moves it on                        | when the process dies          |
 * |--------|-------------------|----------------------------------------|--------------------------------|
 * | QUEUED | no, or perhaps    | flight_flush, a late receipt, deadline | the producer publishes again   |
 * | SENT   | perhaps           | receipt, time-out, reconnect, deadline | under the same id: not doubled |
 * | PAUSED | no                | retry_after_ms, deadline               | as QUEUED                      |
 * | DONE   | as the receipt says | the owner fetches the receipt        | as the receipt says            |
 */
#ifndef TPN_FLIGHT_H
#define TPN_FLIGHT_H

#include "tpn.h"

#include "bus.h"
#include "loop.h"
#include "map.h"
#include "pb.h"

enum flight_state {
    FLIGHT_NEW,
    FLIGHT_QUEUED,
    FLIGHT_SENT,
    FLIGHT_PAUSED,
    FLIGHT_DONE,
    FLIGHT_STATE_COUNT
};

/* One request with its bytes; they are the same each time they go out. */
struct flight {
    struct flight_table *table;
    char id[TPN_ID_BYTES];
    uint8_t *data; /* null once DONE */
    size_t len;
    enum flight_state state;
    unsigned sends;
    bool joined;         /* the last time it went out, it went with others */
    int64_t deadline_ms; /* on the monotonic clock */
    struct loop_timer timer;
    struct flight *prev, *next;     /* in the list of its state: QUEUED or SENT */
    enum tpn_receipt_status status; /* from here on: the receipt */
    enum tpn_state request_state;
    char *field;
    char *reason;
    int64_t accepted_at_ms;
};

/* A flight is DONE. The callee takes it with flight_remove, now or later. */
typedef void flight_done_fn(void *arg, struct flight *flight);

struct flight_table {
    struct loop *loop;
    struct bus *bus;
    uint32_t receipt_timeout_ms;
    uint32_t deadline_ms;
    flight_done_fn *done;
    void *arg;
    struct map *by_id;     /* all of them */
    struct flight *queued; /* in the order in which they go out */
    struct flight *sent;
    size_t queued_bytes;     /* of their requests */
    bool takes_submits;      /* the broker said so since the connection stands */
    size_t waiting;          /* without a receipt */
    struct loop_timer again; /* armed while the socket takes nothing */
    bool writable;           /* the socket had a connection when it was last looked at */
    char last_error[256];    /* what the broker said that belongs to no request */
};

/* loop, bus, times, done and arg are set by the caller before. */
void flight_table_init(struct flight_table *table);
/* Forget everything; done is not called. */
void flight_table_fini(struct flight_table *table);

/* Take over data (freed on every return) and queue it. ERR_CONFLICT: the id is there already. */
enum err flight_add(struct flight_table *table, const char *id, uint8_t *data,
                    size_t len) NODISCARD;

/* The flight of an id, or null. */
struct flight *flight_find(const struct flight_table *table, const char *id);

/* Take a flight out and free it. */
void flight_remove(struct flight **flight);

/* Send what is queued, or wait for more that goes with it: while other requests have no receipt, the caller will come back for those
 * anyway, and then calls flight_flush. */
void flight_offer(struct flight_table *table);

/* The broker could not use a message of ours, and it may have been a SUBMITS: all that went out in one and has no receipt goes out
 * again, alone, and so does all that follows until a receipt says otherwise. */
void flight_refused(struct flight_table *table);

/* A receipt came; one for an id that is not in flight is dropped: it was answered before. */
void flight_receipt(struct flight_table *table, const PB(Receipt) *receipt);

/* Send what is queued, as far as the socket takes it. */
void flight_flush(struct flight_table *table);

/* Look at the connection; when it was lost and is back, queue all that was sent and has no receipt. */
void flight_watch_connection(struct flight_table *table);

/* The receipt of a DONE flight; borrows its texts. */
void flight_show(const struct flight *flight, struct tpn_receipt *receipt);

#endif
