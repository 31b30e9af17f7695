/* Many requests from publishing to their final states.
 *
 * Events of the status topic are only hints, for they can be lost and carry ids of all
 * producers: a hint makes us ask, and the answer to the question decides. What no hint came for
 * is asked in turns, a batch every few seconds. So the result is right whatever the topic does,
 * and 5,000 requests cost some hundred questions.
 *
 * Does not know what a request says. Prints only in track_print. */
#include "track.h"

#include "clock.h"
#include "log.h"
#include "mem.h"
#include "pb_text.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    IN_FLIGHT = 2000,
    POLL_MS = 200,
    ASK_AT_ONCE = 256,     /* hints that are worth a question before the pause */
    ASK_PAUSE_MS = 300,    /* else hints gather for this long */
    SWEEP_PAUSE_MS = 2000, /* between turns for those without a hint */
    SWEEP_ENTRIES = 512,
    QUERY_TIMEOUT_MS = 5000,
    NOT_KNOWN_LINES = 10,
    STATES = TPN_STATE_UNKNOWN + 1,
    RECEIPTS = TPN_RECEIPT_NOT_KNOWN + 1
};

static bool is_taken(const struct track_entry *entry)
{
    return entry->status == TPN_RECEIPT_ACCEPTED || entry->status == TPN_RECEIPT_DUPLICATE;
}

static void hint(struct track *track, struct track_entry *entry)
{
    if (!entry->ask && !entry->settled && is_taken(entry)) {
        entry->ask = true;
        track->to_ask++;
    }
}

/* ---- what the library calls ---- */

static void on_receipt(void *arg, const struct tpn_receipt *receipt)
{
    struct track *track = arg;
    struct track_entry *entry = map_get_text(track->by_id, receipt->id);
    if (entry == NULL) {
        return;
    }
    entry->status = receipt->status;
    entry->state =
        receipt->status == TPN_RECEIPT_ACCEPTED ? TPN_STATE_ACCEPTED : receipt->state;
    entry->field = mem_text(receipt->field);
    entry->reason = mem_text(receipt->reason);
    track->answered++;
    if (receipt->status == TPN_RECEIPT_NOT_KNOWN) {
        track->unreachable = true;
    }
    if (receipt->status == TPN_RECEIPT_DUPLICATE) {
        hint(track, entry);
    }
}

static void on_event(void *arg, const struct tpn_event *event)
{
    struct track *track = arg;
    struct track_entry *entry = map_get_text(track->by_id, event->id);
    if (entry != NULL &&
        (tpn_state_is_final(event->state) || event->state == TPN_STATE_UNKNOWN)) {
        hint(track, entry);
    }
}

static void keep_troubled(struct track_entry *entry, const struct tpn_status *status)
{
    entry->troubled = mem_zero(status->recipient_count + 1, sizeof *entry->troubled);
    for (size_t i = 0; i < status->recipient_count; i++) {
        const struct tpn_recipient *from = &status->recipients[i];
        if (from->outcome != TPN_OUTCOME_DELIVERED) {
            struct tpn_recipient *to = &entry->troubled[entry->troubled_count++];
            *to = *from;
            to->address = mem_text(from->address);
            to->phase = mem_text(from->phase);
            to->enhanced_code = mem_text(from->enhanced_code);
            to->text = mem_text(from->text);
            to->failure_class = mem_text(from->failure_class);
        }
    }
}

static void on_status(void *arg, const struct tpn_status *status)
{
    struct track *track = arg;
    struct track_entry *entry = map_get_text(track->by_id, status->id);
    if (entry == NULL || entry->settled || status->state == TPN_STATE_NONE) {
        return;
    }
    entry->state = status->state;
    /* UNKNOWN without a time for the next attempt waits for a person: nobody should wait for
     * that here. */
    bool held = status->state == TPN_STATE_UNKNOWN && status->next_attempt_ms == 0;
    if (held || tpn_state_is_final(status->state)) {
        entry->settled = true;
        track->settled++;
        free(entry->reason);
        entry->reason = mem_text(status->reason);
        keep_troubled(entry, status);
    }
}

/* ---- publishing ---- */

enum err track_open(struct track *track, const struct common_options *common, size_t room,
                    enum track_wait_choice choice, struct err_text *why)
{
    struct tpn_options options;
    struct tpn_why text = {{0}};
    *track = (struct track){.room = room, .waits = choice == TRACK_UNTIL_FINAL};
    track->entries = mem_zero(room + 1, sizeof *track->entries);
    tpn_options_init(&options);
    options.submit_endpoint = common->submit;
    options.status_endpoint = common->status;
    options.key_file = common->key;
    options.server_key_file = common->server_key;
    options.insecure = common->insecure;
    options.deadline_ms = common->timeout_s > 0 ? (uint32_t)common->timeout_s * 1000U : 1;
    options.max_in_flight = IN_FLIGHT;
    options.on_receipt = on_receipt;
    options.arg = track;
    if (tpn_open(&track->client, &options, &text) != TPN_OK) {
        return err_set(why, ERR_CONFIG, "%s", text.text);
    }
    if (track->waits && tpn_follow(track->client, NULL, on_event, track, &text) != TPN_OK) {
        return err_set(why, ERR_CONFIG, "%s", text.text);
    }
    progress_init(&track->progress, "accepted", room);
    return ERR_OK;
}

void track_close(struct track *track)
{
    for (size_t i = 0; i < track->count; i++) {
        struct track_entry *entry = &track->entries[i];
        for (size_t t = 0; t < entry->troubled_count; t++) {
            free((void *)(uintptr_t)entry->troubled[t].address);
            free((void *)(uintptr_t)entry->troubled[t].phase);
            free((void *)(uintptr_t)entry->troubled[t].enhanced_code);
            free((void *)(uintptr_t)entry->troubled[t].text);
            free((void *)(uintptr_t)entry->troubled[t].failure_class);
        }
        free(entry->troubled);
        free(entry->who);
        free(entry->field);
        free(entry->reason);
    }
    free(track->entries);
    map_clear(&track->by_id);
    tpn_close(&track->client);
    *track = (struct track){0};
}

/* A person waits: when the broker lets us not in, nothing is gained by waiting for the deadline. True = given up. */
static bool give_up_refused(struct track *track)
{
    const char *refusal = tpn_refusal(track->client);
    if (refusal[0] == '\0') {
        return false;
    }
    track->unreachable = true;
    for (size_t i = 0; i < track->count; i++) {
        struct track_entry *entry = &track->entries[i];
        if (entry->status == 0) {
            entry->status = TPN_RECEIPT_NOT_KNOWN;
            entry->field = mem_text("");
            entry->reason = mem_text(refusal);
            track->answered++;
        }
    }
    return true;
}

enum err track_publish(struct track *track, const struct tpn_request *request, const char *who,
                       struct err_text *why)
{
    struct tpn_why text = {{0}};
    struct track_entry *entry = &track->entries[track->count];
    enum tpn_result result = TPN_BUSY;
    while (result == TPN_BUSY && !track->unreachable) {
        result = tpn_publish(track->client, request, entry->id, &text);
        if (result == TPN_OK) {
            (void)map_put_text(&track->by_id, entry->id, entry);
        }
        (void)tpn_poll(track->client, result == TPN_BUSY ? POLL_MS : 0);
        progress_show(&track->progress, track->answered);
        if (result == TPN_BUSY) {
            (void)give_up_refused(track);
        }
    }
    if (track->unreachable) {
        const char *refusal = tpn_refusal(track->client);
        return err_set(why, ERR_AGAIN, "%s",
                       refusal[0] != '\0' ? refusal : "no broker answers");
    }
    entry->who = mem_text(who);
    track->count++;
    if (result != TPN_OK) {
        entry->status = TPN_RECEIPT_REJECTED;
        entry->field = mem_text("");
        entry->reason = mem_text(text.text);
        track->answered++;
        return err_set(why, ERR_INVALID, "%s", text.text);
    }
    return ERR_OK;
}

void track_receipts(struct track *track)
{
    while (tpn_in_flight(track->client) > 0) {
        if (tpn_poll(track->client, POLL_MS) == TPN_FAILED) {
            break;
        }
        progress_show(&track->progress, track->answered);
        if (give_up_refused(track)) {
            break;
        }
    }
    progress_end(&track->progress);
}

/* ---- waiting ---- */

/* Ask for all that have a hint. */
static void ask(struct track *track)
{
    const char **ids = mem_zero(track->to_ask + 1, sizeof *ids);
    size_t count = 0;
    for (size_t i = 0; i < track->count && count < track->to_ask; i++) {
        if (track->entries[i].ask) {
            track->entries[i].ask = false;
            ids[count++] = track->entries[i].id;
        }
    }
    track->to_ask = 0;
    (void)tpn_query(track->client, ids, count, QUERY_TIMEOUT_MS, on_status, track, NULL);
    free(ids);
}

/* Put the next entries that are not settled in the list of those to be asked for. */
static void sweep(struct track *track)
{
    for (size_t seen = 0; seen < track->count && track->to_ask < SWEEP_ENTRIES; seen++) {
        track->sweep = track->sweep + 1 < track->count ? track->sweep + 1 : 0;
        hint(track, &track->entries[track->sweep]);
    }
}

void track_wait(struct track *track, long timeout_s)
{
    int64_t until_ms = clock_mono_ms() + timeout_s * 1000;
    int64_t ask_ms = 0;
    int64_t sweep_ms = clock_mono_ms() + SWEEP_PAUSE_MS;
    size_t wanted = 0;
    for (size_t i = 0; i < track->count; i++) {
        wanted += is_taken(&track->entries[i]) ? 1 : 0;
    }
    progress_init(&track->progress, "final", wanted);
    while (track->settled < wanted) {
        int64_t now_ms = clock_mono_ms();
        if (now_ms >= until_ms) {
            track->timed_out = true;
            break;
        }
        if (now_ms >= sweep_ms) {
            sweep(track);
            sweep_ms = now_ms + SWEEP_PAUSE_MS;
        }
        if (track->to_ask >= ASK_AT_ONCE || (track->to_ask > 0 && now_ms >= ask_ms)) {
            ask(track);
            ask_ms = clock_mono_ms() + ASK_PAUSE_MS;
        } else if (tpn_poll(track->client, POLL_MS) == TPN_FAILED) {
            break;
        }
        progress_show(&track->progress, track->settled);
    }
    track->pending = wanted - track->settled;
    progress_end(&track->progress);
}

/* ---- the report ---- */

struct tally {
    size_t receipts[RECEIPTS];
    size_t states[STATES];
    size_t not_published;
};

static struct tally count_up(const struct track *track)
{
    struct tally tally = {.not_published = track->room - track->count};
    for (size_t i = 0; i < track->count; i++) {
        const struct track_entry *entry = &track->entries[i];
        tally.receipts[entry->status]++;
        if (is_taken(entry)) {
            tally.states[(int)entry->state < STATES ? (int)entry->state : 0]++;
        }
    }
    return tally;
}

static bool state_is_bad(enum tpn_state state)
{
    return state == TPN_STATE_FAILED || state == TPN_STATE_EXPIRED ||
           state == TPN_STATE_CANCELLED || state == TPN_STATE_UNKNOWN;
}

static bool is_problem(const struct track_entry *entry)
{
    return !is_taken(entry) || state_is_bad(entry->state) || entry->troubled_count > 0;
}

static void print_problem(const struct track_entry *entry)
{
    char quoted[LOG_QUOTE_BYTES];
    const char *word =
        is_taken(entry) ? tpn_state_word(entry->state) : tpn_receipt_word(entry->status);
    printf("%s %s %s", word, entry->who, entry->id);
    if (entry->field != NULL && entry->field[0] != '\0') {
        printf(" %s:", entry->field);
    }
    if (entry->reason != NULL && entry->reason[0] != '\0') {
        printf(" %s", log_quote(entry->reason, quoted));
    }
    putchar('\n');
    for (size_t i = 0; i < entry->troubled_count; i++) {
        const struct tpn_recipient *at = &entry->troubled[i];
        printf("  <%s> %s", at->address, tpn_outcome_word(at->outcome));
        if (at->failure_class[0] != '\0') {
            printf(" (%s)", at->failure_class);
        }
        if (at->phase[0] != '\0') {
            printf(" at %s", at->phase);
        }
        if (at->smtp_code != 0) {
            printf(" %u", at->smtp_code);
        }
        printf("%s%s %s\n", at->enhanced_code[0] != '\0' ? " " : "", at->enhanced_code,
               log_quote(at->text, quoted));
    }
}

void track_print(const struct track *track)
{
    struct tally tally = count_up(track);
    printf("%zu request%s: %zu accepted, %zu duplicate, %zu rejected, %zu not known, %zu not "
           "sent\n",
           track->room, track->room == 1 ? "" : "s", tally.receipts[TPN_RECEIPT_ACCEPTED],
           tally.receipts[TPN_RECEIPT_DUPLICATE], tally.receipts[TPN_RECEIPT_REJECTED],
           tally.receipts[TPN_RECEIPT_NOT_KNOWN], tally.not_published);
    for (int state = 0; state < STATES; state++) {
        if (tally.states[state] > 0) {
            printf("%-12s %zu\n", tpn_state_word((enum tpn_state)state), tally.states[state]);
        }
    }
    size_t not_known = 0;
    for (size_t i = 0; i < track->count; i++) {
        /* Without a broker all have the same story; --json has every one. */
        bool same =
            track->entries[i].status == TPN_RECEIPT_NOT_KNOWN && ++not_known > NOT_KNOWN_LINES;
        if (is_problem(&track->entries[i]) && !same) {
            print_problem(&track->entries[i]);
        }
    }
    if (not_known > NOT_KNOWN_LINES) {
        printf("and %zu more without a receipt\n", not_known - NOT_KNOWN_LINES);
    }
    if (track->timed_out) {
        printf("time is over: %zu not final yet\n", track->pending);
    }
}

static void json_problem(struct json *j, const struct track_entry *entry)
{
    json_open(j, NULL, '{');
    json_text(j, "id", entry->id);
    json_text(j, "who", entry->who);
    json_text(j, "receipt", tpn_receipt_word(entry->status));
    json_text(j, "state", tpn_state_word(entry->state));
    json_text(j, "field", entry->field != NULL ? entry->field : "");
    json_text(j, "reason", entry->reason != NULL ? entry->reason : "");
    json_open(j, "recipients", '[');
    for (size_t i = 0; i < entry->troubled_count; i++) {
        const struct tpn_recipient *at = &entry->troubled[i];
        json_open(j, NULL, '{');
        json_text(j, "address", at->address);
        json_text(j, "outcome", tpn_outcome_word(at->outcome));
        json_text(j, "phase", at->phase);
        json_uint(j, "smtp_code", at->smtp_code);
        json_text(j, "enhanced_code", at->enhanced_code);
        json_text(j, "text", at->text);
        json_text(j, "failure_class", at->failure_class);
        json_close(j);
    }
    json_close(j);
    json_close(j);
}

void track_json(const struct track *track, struct json *j)
{
    struct tally tally = count_up(track);
    json_uint(j, "requests", track->room);
    json_uint(j, "accepted", tally.receipts[TPN_RECEIPT_ACCEPTED]);
    json_uint(j, "duplicate", tally.receipts[TPN_RECEIPT_DUPLICATE]);
    json_uint(j, "rejected", tally.receipts[TPN_RECEIPT_REJECTED]);
    json_uint(j, "not_known", tally.receipts[TPN_RECEIPT_NOT_KNOWN]);
    json_uint(j, "not_sent", tally.not_published);
    json_bool(j, "timed_out", track->timed_out);
    json_open(j, "states", '{');
    for (int state = 0; state < STATES; state++) {
        if (tally.states[state] > 0) {
            json_uint(j, tpn_state_word((enum tpn_state)state), tally.states[state]);
        }
    }
    json_close(j);
    json_open(j, "problems", '[');
    for (size_t i = 0; i < track->count; i++) {
        if (is_problem(&track->entries[i])) {
            json_problem(j, &track->entries[i]);
        }
    }
    json_close(j);
}

int track_exit_code(const struct track *track)
{
    struct tally tally = count_up(track);
    if (tally.receipts[TPN_RECEIPT_NOT_KNOWN] > 0 || tally.receipts[0] > 0 ||
        tally.not_published > 0) {
        return EXIT_UNREACHABLE;
    }
    if (track->timed_out) {
        return EXIT_TIMED_OUT;
    }
    for (size_t i = 0; i < track->count; i++) {
        if (is_problem(&track->entries[i])) {
            return EXIT_SOME_FAILED;
        }
    }
    return EXIT_FINE;
}
