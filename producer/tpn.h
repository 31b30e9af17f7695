/* libtpn: publish notifications to TrackPro Notify, and follow what becomes of them.
 *
 *   struct tpn_client *client = NULL;
 *   struct tpn_request *mail = tpn_request_new();
 *   struct tpn_receipt receipt;
 *   char id[TPN_ID_BYTES];
 *
 *   tpn_open(&client, NULL, NULL);
 *   tpn_request_text(mail, TPN_PROFILE, "office");
 *   tpn_request_mailbox(mail, TPN_FROM, "TrackPro", "trackpro@example.org");
 *   tpn_request_mailbox(mail, TPN_TO, "Ana", "ana@example.org");
 *   tpn_request_text(mail, TPN_SUBJECT, "Calibration due");
 *   tpn_request_text(mail, TPN_TEXT, "Torque wrench TW-17 is due on 1 December.");
 *   tpn_publish(client, mail, id, NULL);
 *   tpn_wait(client, id, 10000, &receipt);
 *   tpn_request_free(&mail);
 *   tpn_close(&client);
 *
 * Promise. A request whose receipt says ACCEPTED or DUPLICATE is safe on the broker's disk. The
 * library sends the same bytes under the same id again when no receipt comes in time, when the
 * connection was lost and came back, and when the broker is busy; the broker knows the id and
 * takes the request once. A request whose receipt says NOT_KNOWN may or may not have been
 * taken: publish the same bytes under the same id again, later, also from another process.
 *
 * Threads. One handle belongs to one thread at a time; it may be handed to another thread
 * between calls. Several handles in several threads are independent. The library starts one I/O
 * thread for each handle and no other; callbacks run in the thread that calls tpn_poll,
 * tpn_wait or tpn_query, and inside these calls only. A callback may call tpn_publish,
 * tpn_publish_bytes, tpn_in_flight and all of tpn_request_*, and no other function with the
 * same handle (these return TPN_INVALID). Do not use a handle in a child after fork(2).
 *
 * Memory. Text that goes in is copied. Text that comes out is borrowed, for the time that its
 * comment says. All text is UTF-8 and ends with a NUL. Times are milliseconds since 1970-01-01
 * UTC; 0 = not set. The process is aborted when there is no memory for small things. */
#ifndef TPN_H
#define TPN_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define TPN_API __attribute__((visibility("default")))

/* What a function returns. */
enum tpn_result {
    TPN_OK = 0,
    TPN_BUSY = 1,        /* max_in_flight is reached: call tpn_poll and try again */
    TPN_TIMEOUT = 2,     /* nothing came in the given time; what is in flight stays so */
    TPN_INVALID = 3,     /* an argument or a field breaks a rule; tpn_why says which */
    TPN_NOT_FOUND = 4,   /* no such id in this handle */
    TPN_UNREACHABLE = 5, /* no broker answers */
    TPN_FAILED = 6       /* the system refused something; tpn_why says what */
};

/* Longest id with its NUL. */
enum { TPN_ID_BYTES = 129 };

/* Why a call failed, for a person. A call that takes one accepts null. */
struct tpn_why {
    char text[512];
};

/* How a request stands. */
enum tpn_state {
    TPN_STATE_NONE = 0, /* not known to the broker */
    TPN_STATE_ACCEPTED = 1,
    TPN_STATE_LEASED = 2,    /* a worker has it */
    TPN_STATE_PERMITTED = 3, /* content may be on its way */
    TPN_STATE_DEFERRED = 4,  /* will be tried again at next_attempt_ms */
    TPN_STATE_SENT = 5,
    TPN_STATE_HANDED_OFF = 6, /* to a pickup folder or a mail client */
    TPN_STATE_FAILED = 7,
    TPN_STATE_EXPIRED = 8,
    TPN_STATE_CANCELLED = 9,
    TPN_STATE_UNKNOWN = 10 /* may or may not have been delivered */
};

/* What became of one recipient. */
enum tpn_outcome {
    TPN_OUTCOME_PENDING = 0,
    TPN_OUTCOME_DELIVERED = 1,
    TPN_OUTCOME_REFUSED = 2,
    TPN_OUTCOME_DEFERRED = 3,
    TPN_OUTCOME_UNKNOWN = 4,
    TPN_OUTCOME_PERMITTED = 5
};

/* What became of traffic that the broker's configuration expects. */
enum tpn_watch {
    TPN_WATCH_NONE = 0,
    TPN_WATCH_SILENT = 1,    /* a deadline passed without it */
    TPN_WATCH_RECOVERED = 2, /* it came after all */
    TPN_WATCH_DROPPED = 3    /* it was silent, and is expected no longer */
};

/* The broker's answer to one request. */
enum tpn_receipt_status {
    TPN_RECEIPT_ACCEPTED = 1, /* on disk: it will not be lost */
    TPN_RECEIPT_DUPLICATE =
        2, /* the same id and content is known already; state tells how it stands */
    TPN_RECEIPT_REJECTED = 3, /* field and reason say why; sending it again does not help */
    TPN_RECEIPT_NOT_KNOWN =
        4 /* no receipt within deadline_ms; reason says what was seen last */
};

/* A receipt. Texts are borrowed: in a callback until it returns, from tpn_wait until the next
 * call with the handle. */
struct tpn_receipt {
    const char *id;
    enum tpn_receipt_status status;
    enum tpn_state state;
    const char *field;  /* path of the refused field, as message.to[2].address; or "" */
    const char *reason; /* or "" */
    int64_t accepted_at_ms;
    unsigned sends; /* how often the bytes went out: 1 unless they had to be sent again */
};

/* One recipient of a request. phase is the word of the step that decided, as "RCPT" or
 * "FINAL_DOT", or "". */
struct tpn_recipient {
    const char *address;
    enum tpn_outcome outcome;
    const char *phase;
    unsigned smtp_code;        /* 0 = no reply */
    const char *enhanced_code; /* RFC 3463, as 5.1.1; or "" */
    const char *text;          /* the server's own words; or "" */
    /* Who has to act: "RECIPIENT", "MESSAGE", "TRANSIENT", "QUOTA", "LOGIN", "CONFIGURATION",
     * "HOST_DOWN" or "UNCERTAIN"; "" once delivered. */
    const char *failure_class;
};

/* A step of a request, from the status topic. epoch changes when the broker starts; sequence is
 * 1, 2, 3 … without gaps in each epoch over all requests. Borrowed until the callback returns.
 */
struct tpn_event {
    uint64_t epoch;
    uint64_t sequence;
    const char *id;
    const char *producer;
    const char *profile;
    enum tpn_state state;
    enum tpn_state previous;
    unsigned attempt;
    int partial; /* some recipients were delivered, others not */
    size_t recipient_count;
    const struct tpn_recipient *recipients;
    const char *reason;
    const char *server;
    const char *tls_version;
    const char *queue_id; /* the server's own name for the mail */
    const char *worker;
    const char *message_id;
    int64_t at_ms;
    int64_t next_attempt_ms;
    /* Not TPN_WATCH_NONE: no step of a request. id is "" and state TPN_STATE_NONE; expectation is the name of what is
     * expected, reason the words. Such events come to operators and monitors only. */
    enum tpn_watch watch;
    const char *expectation; /* or "" */
};

/* The answer to a query. Borrowed until the callback returns. */
struct tpn_status {
    const char *id;
    enum tpn_state
        state; /* TPN_STATE_NONE: the broker knows no such request of this producer */
    const char *producer;
    const char *profile;
    unsigned attempt;
    int partial;
    size_t recipient_count;
    const struct tpn_recipient *recipients;
    const char *reason;
    int64_t accepted_at_ms;
    int64_t changed_at_ms;
    int64_t next_attempt_ms;
};

typedef void tpn_receipt_fn(void *arg, const struct tpn_receipt *receipt);
typedef void tpn_event_fn(void *arg, const struct tpn_event *event);
typedef void tpn_status_fn(void *arg, const struct tpn_status *status);

/* Options of tpn_open. Call tpn_options_init first, then change what you want. All texts are
 * copied by tpn_open. */
struct tpn_options {
    size_t struct_bytes;         /* set by tpn_options_init: which fields the caller knows */
    const char *submit_endpoint; /* default tcp://127.0.0.1:5551 */
    const char *status_endpoint; /* default tcp://127.0.0.1:5553; used by tpn_follow only */
    uint32_t receipt_timeout_ms; /* default 5000: send again when no receipt came */
    uint32_t deadline_ms;        /* default 60000: after this a request is NOT_KNOWN */
    uint32_t max_in_flight;     /* default 1000: requests without a receipt, or with one not yet
                                   fetched */
    tpn_receipt_fn *on_receipt; /* null = receipts are kept for tpn_wait */
    void *arg;                  /* given to on_receipt */
    /* Keys (CURVE): the files that `tpn keys new` made, this program's NAME.key and the broker's
     * NAME.pub. Both or neither; null = neither, which works on loopback only. */
    const char *key_file;
    const char *server_key_file;
    int insecure; /* other than 0: without keys beyond loopback too */
};

/* Fill in the defaults. */
TPN_API void tpn_options_init(struct tpn_options *options);

struct tpn_client;
struct tpn_request;

/* Open a handle. The connection is made in the background: that the broker is down is no error
 * here.
 *  options  null = defaults
 * Returns TPN_OK; TPN_INVALID wrong option; TPN_FAILED wrong endpoint, or key files that cannot be used. */
TPN_API enum tpn_result tpn_open(struct tpn_client **client, const struct tpn_options *options,
                                 struct tpn_why *why);

/* Close a handle and null the pointer; accepts null. Waits at most 2 s for what is being sent.
 * Requests without a receipt are forgotten by the library; the broker may still get them. */
TPN_API void tpn_close(struct tpn_client **client);

/* Publish a request: copy it, send it, return at once. While other requests of the handle wait for their receipts, it may go out
 * together with those that are published next: when 64 KB have come together, and at the latest by the next call of tpn_poll,
 * tpn_wait, tpn_query or tpn_close.
 *  request  unchanged, the caller's; may be published again with another id
 *  id       out, the id in use: the request's own, or a new UUIDv7; may be null
 * Returns TPN_OK; TPN_BUSY; TPN_INVALID a field breaks a rule, or the id is in flight already.
 */
TPN_API enum tpn_result tpn_publish(struct tpn_client *client,
                                    const struct tpn_request *request, char id[TPN_ID_BYTES],
                                    struct tpn_why *why);

/* As tpn_publish, with a NotificationRequest that was encoded elsewhere. Without an id in it a
 * new UUIDv7 is appended. */
TPN_API enum tpn_result tpn_publish_bytes(struct tpn_client *client, const void *data,
                                          size_t len, char id[TPN_ID_BYTES],
                                          struct tpn_why *why);

/* Why the broker gives this handle no connection, as far as keys are to blame: a sentence; "" =
 * they are not. The handle goes on trying: a key that is allowed later, and a broker that gets
 * its right key later, need no new handle. Borrowed until the next call with the handle. */
TPN_API const char *tpn_refusal(const struct tpn_client *client);

/* Requests in flight: without a receipt. */
TPN_API size_t tpn_in_flight(const struct tpn_client *client);

/* Send, receive and call back, until something was called back or timeout_ms is over (0 = do
 * not wait). A program that publishes must call this, or tpn_wait, often enough for receipts to
 * come in and for resending. Returns TPN_OK when something came; TPN_TIMEOUT; TPN_FAILED. */
TPN_API enum tpn_result tpn_poll(struct tpn_client *client, int timeout_ms);

/* Wait for the receipt of one request. For handles without on_receipt.
 * Returns TPN_OK with receipt filled, and the request forgotten; TPN_TIMEOUT: call it again;
 * TPN_NOT_FOUND: not published with this handle, or its receipt was fetched before;
 * TPN_INVALID: the handle has on_receipt. */
TPN_API enum tpn_result tpn_wait(struct tpn_client *client, const char *id, int timeout_ms,
                                 struct tpn_receipt *receipt);

/* Hear the status topic. Call it before publishing, or the first steps are missed; events can
 * also be lost on the way, so ask with tpn_query for what matters. A second call replaces fn
 * and arg and adds to what is heard. producer  only of this producer; null = of all that the
 * broker lets this client hear Returns TPN_OK; TPN_FAILED wrong endpoint. */
TPN_API enum tpn_result tpn_follow(struct tpn_client *client, const char *producer,
                                   tpn_event_fn *fn, void *arg, struct tpn_why *why);

/* Ask how requests stand, wait for the answer and call fn once for each id, in their order.
 * Receipts and events that come meanwhile are called back as in tpn_poll. timeout_ms  for the
 * whole; the question is repeated meanwhile Returns TPN_OK; TPN_UNREACHABLE no answer in time
 * (fn was called for the first ids, or for none); TPN_INVALID. */
TPN_API enum tpn_result tpn_query(struct tpn_client *client, const char *const ids[],
                                  size_t count, int timeout_ms, tpn_status_fn *fn, void *arg,
                                  struct tpn_why *why);

/* ---- building a request ----
 *
 * The setters return nothing: the first mistake is kept and tpn_publish returns TPN_INVALID
 * with it. */

/* An empty request; free it with tpn_request_free, which nulls the pointer and accepts null. */
TPN_API struct tpn_request *tpn_request_new(void);
TPN_API void tpn_request_free(struct tpn_request **request);

enum tpn_text {
    TPN_ID,      /* idempotency key, unique for the producer; empty = a new UUIDv7 for each
                    tpn_publish */
    TPN_PROFILE, /* name of the mailing settings */
    TPN_SUBJECT,
    TPN_TEXT, /* plain text part */
    TPN_HTML, /* HTML part; with TPN_TEXT the reader's program chooses */
    TPN_SUPERSEDE_KEY,
    TPN_TRACEPARENT, /* W3C Trace Context */
    TPN_TEXT_COUNT
};
/* Set a text; a second call replaces it. */
TPN_API void tpn_request_text(struct tpn_request *request, enum tpn_text which,
                              const char *value);

enum tpn_mailbox {
    TPN_FROM,
    TPN_SENDER,
    TPN_REPLY_TO,
    TPN_TO,
    TPN_CC,
    TPN_BCC,
    TPN_MAILBOX_COUNT
};
/* Set (from, sender) or add (the others) a mailbox.
 *  name     display name in any script; null or "" = none
 *  address  local-part@domain */
TPN_API void tpn_request_mailbox(struct tpn_request *request, enum tpn_mailbox which,
                                 const char *name, const char *address);

enum tpn_number {
    TPN_KIND,             /* 1 custodian alert, 2 auto e-mail (default), 3 test */
    TPN_SPLIT,            /* 1 one mail for all (default), 2 one mail each */
    TPN_PRIORITY,         /* 1 bulk, 2 normal (default), 3 urgent */
    TPN_IMPORTANCE,       /* 1 low, 2 normal, 3 high; 0 = no header (default) */
    TPN_READ_RECEIPT,     /* 1 = ask for one */
    TPN_DELIVERY_RECEIPT, /* 1 = ask for one */
    TPN_NOT_BEFORE_MS,    /* not sent before this time */
    TPN_EXPIRE_AT_MS,     /* not tried after this time */
    TPN_NUMBER_COUNT
};
TPN_API void tpn_request_number(struct tpn_request *request, enum tpn_number which,
                                int64_t value);

/* Add an attachment; content is copied.
 *  content_type  type/subtype; null or "" = application/octet-stream
 *  content_id    not null: shown inside the HTML part, which names it as cid:… */
TPN_API void tpn_request_attachment(struct tpn_request *request, const char *file_name,
                                    const char *content_type, const char *content_id,
                                    const void *content, size_t len);

/* Set the calendar of the mail: an iCalendar object (RFC 5545), UTF-8, at most 1 MiB; copied. Its METHOD line is told to the
 * reader's program, PUBLISH when there is none. A second call replaces it. */
TPN_API void tpn_request_calendar(struct tpn_request *request, const void *data, size_t len);

/* Add a way to unsubscribe (List-Unsubscribe, RFC 2369), at most 4.
 *  uri        mailto: or https:
 *  one_click  1 = a POST to the https URI does it without a question (RFC 8058); holds for all */
TPN_API void tpn_request_unsubscribe(struct tpn_request *request, const char *uri,
                                     int one_click);

/* Add a label: kept with the request and shown with it, not part of the mail. */
TPN_API void tpn_request_label(struct tpn_request *request, const char *name,
                               const char *value);

/* Add a header of the mail. */
TPN_API void tpn_request_header(struct tpn_request *request, const char *name,
                                const char *value);

/* The encoded NotificationRequest, as tpn_publish_bytes takes it.
 *  data  out: len bytes, the caller's; give them to tpn_free
 * Returns TPN_OK or TPN_INVALID. */
TPN_API enum tpn_result tpn_request_pack(const struct tpn_request *request, void **data,
                                         size_t *len, struct tpn_why *why);
TPN_API void tpn_free(void *data); /* accepts null */

/* The word of a state, "SENT"; of an outcome, "DELIVERED"; of a receipt, "ACCEPTED". Borrowed
 * for ever. */
TPN_API const char *tpn_state_word(enum tpn_state state);
TPN_API const char *tpn_outcome_word(enum tpn_outcome outcome);
TPN_API const char *tpn_receipt_word(enum tpn_receipt_status status);

/* 1 for states that nothing leaves by itself: SENT, HANDED_OFF, FAILED, EXPIRED, CANCELLED;
 * else 0. */
TPN_API int tpn_state_is_final(enum tpn_state state);

#ifdef __cplusplus
}
#endif

#endif
