/* Many requests from publishing to their final states, and the report about them. */
#ifndef TPN_TRACK_H
#define TPN_TRACK_H

#include "tpn.h"

#include "json.h"
#include "map.h"
#include "options.h"
#include "progress.h"

#include <stdbool.h>

/* One request. */
struct track_entry {
    char id[TPN_ID_BYTES];
    char *who;                      /* for people: the custodian, or the first recipient */
    enum tpn_receipt_status status; /* 0 = no receipt yet */
    enum tpn_state state;
    bool settled; /* final, or UNKNOWN with nothing that would move it on */
    bool ask;     /* something happened: its state is to be asked for */
    char *field;
    char *reason;
    struct tpn_recipient *troubled; /* those that were not delivered; copies */
    size_t troubled_count;
};

struct track {
    struct tpn_client *client;
    struct track_entry *entries; /* room for all from the start, so that pointers stay */
    size_t count;                /* published so far */
    size_t room;
    struct map *by_id;
    size_t answered; /* have a receipt */
    size_t settled;
    size_t pending; /* accepted or duplicate, not settled; counted by track_wait */
    size_t to_ask;
    size_t sweep; /* next entry to be asked for without a hint */
    bool waits;
    bool unreachable; /* a request got no receipt: publishing the rest is of no use */
    bool timed_out;
    struct progress progress;
};

enum track_wait_choice { TRACK_RECEIPTS_ONLY, TRACK_UNTIL_FINAL };

/* Open the handle for `room` requests. With TRACK_UNTIL_FINAL the status topic is heard from
 * now on. */
enum err track_open(struct track *track, const struct common_options *options, size_t room,
                    enum track_wait_choice choice, struct err_text *why) NODISCARD;
void track_close(struct track *track); /* accepts a zeroed one */

/* Publish one, waiting while too many are in flight. ERR_INVALID: a field breaks a rule (it
 * counts as rejected); ERR_AGAIN: the broker cannot be reached, stop. */
enum err track_publish(struct track *track, const struct tpn_request *request, const char *who,
                       struct err_text *why) NODISCARD;

/* Wait until every request has its receipt, or the handle gave it up. */
void track_receipts(struct track *track);

/* Wait until all that was accepted is final, at most timeout_s. */
void track_wait(struct track *track, long timeout_s);

/* Counts by receipt and by state, and what went wrong: as text on standard output, or as
 * members of an open JSON object. */
void track_print(const struct track *track);
void track_json(const struct track *track, struct json *j);

/* What to exit with. */
int track_exit_code(const struct track *track);

#endif
