/* The profiles, for operators. With `check` the file is read into profiles of its own, which are thrown away. */
#include "profile_list.h"

#include "audit.h"
#include "broker.h"
#include "gate.h"
#include "mem.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { ERRORS_MAX_BYTES = 1024 * 1024, ERRORS_MAX = 1000, ERROR_MAX_BYTES = 4096 };

struct listing {
    PB(ProfileList) list;
    const char *name; /* "" = all */
};

static void add_profile(void *arg, const struct profile *profile)
{
    struct listing *listing = arg;
    if (listing->name[0] == '\0' || strcmp(listing->name, profile->wire.name) == 0) {
        /* Packing changes nothing. */
        listing->list.profiles[listing->list.n_profiles++] =
            (PB(Profile) *)(uintptr_t)&profile->wire;
    }
}

static int by_name(const void *a, const void *b)
{
    const PB(Profile) *const *left = a;
    const PB(Profile) *const *right = b;
    return strcmp((*left)->name, (*right)->name);
}

/* One entry a line; each ends in the text itself. */
static void split_errors(char *text, PB(ProfileList) *list)
{
    list->errors = mem_zero(ERRORS_MAX, sizeof *list->errors);
    while (*text != '\0' && list->n_errors < ERRORS_MAX) {
        size_t len = strcspn(text, "\n");
        char *next = text[len] != '\0' ? text + len + 1 : text + len;
        text[len < ERROR_MAX_BYTES ? len : ERROR_MAX_BYTES] = '\0';
        if (*text != '\0') {
            list->errors[list->n_errors++] = text;
        }
        text = next;
    }
}

/* profiles null = the file was refused. */
static void send_list(struct bus *bus, const struct wire_peer *peer, struct listing *listing,
                      const struct profiles *profiles)
{
    PB(ProfileList) *list = &listing->list;
    if (profiles != NULL) {
        list->profiles = mem_zero(profiles_count(profiles) + 1, sizeof *list->profiles);
        profiles_each(profiles, add_profile, listing);
        qsort(list->profiles, list->n_profiles, sizeof *list->profiles, by_name);
    }
    enum err err = bus_send(bus, peer, WIRE_PROFILES_OK, &list->base, NULL);
    (void)err; /* who asks and is gone gets no answer */
    free(list->profiles);
}

/* Nobody sees a secret without a trace: where no record can be written now, it is refused. */
static bool note_reveal(struct broker *broker, const char *who, const char *name,
                        struct wire_fault *fault)
{
    const char *why = NULL;
    if (name[0] == '\0') {
        (void)snprintf(fault->field, sizeof fault->field, "name");
        (void)snprintf(fault->rule, sizeof fault->rule, "is needed with reveal");
        return false;
    }
    if (!ledger_healthy(broker->ledger, &why)) {
        (void)snprintf(fault->rule, sizeof fault->rule,
                       "no audit record can be written: %.200s", why);
        return false;
    }
    audit_record(broker, who, "reveal secret", name, AUDIT_DONE, "");
    return true;
}

void profile_list_answer(struct broker *broker, struct bus *bus, const char *who,
                         struct wire_in *in)
{
    const PB(ProfileAsk) *ask = (const PB(ProfileAsk) *)in->body;
    if (ask->reveal && !note_reveal(broker, who, ask->name, &in->fault)) {
        gate_send_error(bus, in);
        return;
    }
    struct listing listing = {.list = PB_INIT(PROFILE_LIST), .name = ask->name};
    if (!ask->check) {
        send_list(bus, &in->peer, &listing, broker->profiles);
        return;
    }
    struct profiles *read = NULL;
    struct buf errors;
    buf_init(&errors, ERRORS_MAX_BYTES);
    enum err err = profiles_read(broker->conf->profiles_file, &read, &errors);
    char *text = buf_take(&errors);
    if (err != ERR_OK) {
        split_errors(text, &listing.list);
    }
    send_list(bus, &in->peer, &listing, read);
    profiles_free(&read);
    free(listing.list.errors);
    free(text);
    buf_fini(&errors);
}
