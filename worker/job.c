/* Jobs.
 *
 * Design notes: back ends may call back from inside start and permit, so a job holds itself with a count (`busy`) while it
 * is in one of its own loops, and goes only when that is zero and nothing is under way. A permit that is denied means
 * that the broker gave the lease to somebody else: nothing was sent, nothing is reported. What a job holds as long as it
 * lives lies in one arena, whose first block is allocated with it: a usual job costs one allocation. */
#include "job.h"

#include "address.h"
#include "arena.h"
#include "check.h"
#include "clock.h"
#include "compose.h"
#include "log.h"
#include "mem.h"

#include <stdalign.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

enum {
    PARTS_AT_ONCE = 8,
    ARENA_SPARE_BYTES = 6 * 1024 /* beyond the request's bytes: its structs, a part, a result */
};

/* The recipients of one part: job->recipients[first …]. */
struct slice {
    uint32_t number;
    size_t first;
    size_t count;
};

struct part {
    struct job *job;
    const struct slice *slice; /* of the job's */
    uint32_t number;
    int64_t started_us;
    int64_t asked_ms; /* monotonic; 0 = not asked */
    bool answered;
    bool denied;
    uint32_t slot; /* of the diary */
    struct delivery delivery;
    LIST_ENTRY(part) link;
};

LIST_HEAD(part_set, part);

/* What is kept of the JOB's body. */
struct lease {
    uint64_t number;
    uint64_t profile_version;
    int64_t accepted_at_ms;
    const char *producer;
    bool look_only;
    bool possible_duplicate;
};

struct job {
    const struct job_host *host;
    struct arena arena; /* request, recipients, slices, parts */
    struct lease lease;
    PB(NotificationRequest) *request;
    struct settings_plan inline_plan;
    const struct settings_plan *plan;
    uint32_t *recipients; /* indices to be tried */
    size_t recipient_count;
    struct slice *slices; /* parts of them */
    bool one_each;
    uint32_t parts;
    uint32_t next_part;
    uint32_t reported;
    struct part_set active;
    struct part_set spare; /* for the next parts */
    unsigned active_count;
    unsigned busy;
    alignas(max_align_t) uint8_t first[]; /* of the arena */
};

static void part_ask(void *arg, struct delivery *delivery);
static void part_begin(void *arg, struct delivery *delivery);
static void part_done(void *arg, struct delivery *delivery);

static bool part_without_utf8(void *arg, struct delivery *delivery);

static const struct deliver_owner owner = {
    .ask = part_ask, .begin = part_begin, .done = part_done, .without_utf8 = part_without_utf8};

uint64_t job_lease(const struct job *job)
{
    return job->lease.number;
}

static void job_free(struct job *job)
{
    arena_reset(&job->arena);
    free(job);
}

static void end_if_over(struct job *job)
{
    if (job->busy == 0 && job->active_count == 0 && job->next_part == job->parts) {
        job->host->over(job->host->arg, job);
        job_free(job);
    }
}

/* ---- reporting ---- */

static void fill_head(const struct job *job, PB(JobResult) *result)
{
    result->lease = job->lease.number;
    result->producer = (char *)(uintptr_t)job->lease.producer;
    result->request_id = job->request != NULL ? job->request->id : (char *)(uintptr_t) "";
}

static void report_part(struct job *job, const struct part *part)
{
    const struct delivery *delivery = &part->delivery;
    size_t count = delivery->recipient_count;
    PB(JobResult) result = PB_INIT(JOB_RESULT);
    PB(RecipientResult) *items = arena_take(&job->arena, count * sizeof *items);
    PB(RecipientResult) **pointers = arena_take(&job->arena, count * sizeof *pointers);
    uint32_t *indices = arena_take(&job->arena, count * sizeof *indices);
    for (size_t i = 0; i < count; i++) {
        const struct deliver_recipient *recipient = &delivery->recipients[i];
        const PB(Mailbox) *box = compose_recipient(job->request, recipient->index);
        PB(RecipientResult) init = PB_INIT(RECIPIENT_RESULT);
        items[i] = init;
        items[i].address = box != NULL ? box->address : (char *)(uintptr_t)recipient->address;
        items[i].outcome = recipient->outcome;
        items[i].phase = recipient->phase;
        items[i].failure_class = recipient->class;
        items[i].smtp_code = recipient->code;
        items[i].enhanced_code = (char *)(uintptr_t)recipient->enhanced;
        items[i].text = recipient->text != NULL ? recipient->text : (char *)(uintptr_t) "";
        pointers[i] = &items[i];
        indices[i] = recipient->index;
    }
    fill_head(job, &result);
    result.part = part->number;
    result.recipients = indices;
    result.n_recipients = count;
    result.results = pointers;
    result.n_results = count;
    result.server = (char *)(uintptr_t)delivery->server;
    result.tls_version = (char *)(uintptr_t)delivery->tls_version;
    result.queue_id = (char *)(uintptr_t)delivery->queue_id;
    result.message_id = (char *)(uintptr_t)delivery->message_id;
    result.handed_off = delivery->handed_off;
    result.duration_ms = (uint32_t)((clock_mono_us() - part->started_us) / 1000);
    result.more = ++job->reported < job->parts;
    job->host->report(job->host->arg, &result, part->slot);
}

/* A part that came to no delivery. */
static void refuse_slice(struct job *job, const struct slice *slice, int outcome,
                         const char *text)
{
    size_t first = slice->first;
    size_t count = slice->count;
    PB(JobResult) result = PB_INIT(JOB_RESULT);
    PB(RecipientResult) *items = arena_take(&job->arena, count * sizeof *items);
    PB(RecipientResult) **pointers = arena_take(&job->arena, count * sizeof *pointers);
    for (size_t i = 0; i < count; i++) {
        const PB(Mailbox) *box =
            job->request != NULL ? compose_recipient(job->request, job->recipients[first + i])
                                 : NULL;
        PB(RecipientResult) init = PB_INIT(RECIPIENT_RESULT);
        items[i] = init;
        items[i].address = box != NULL ? box->address : (char *)(uintptr_t) "";
        items[i].outcome = outcome;
        items[i].failure_class =
            outcome == PB_OUTCOME(REFUSED) ? PB_CLASS(MESSAGE) : PB_CLASS(CONFIGURATION);
        items[i].phase = PB_PHASE(PREPARE);
        items[i].text = (char *)(uintptr_t)text;
        pointers[i] = &items[i];
    }
    fill_head(job, &result);
    result.part = slice->number;
    result.recipients = job->recipients + first;
    result.n_recipients = count;
    result.results = pointers;
    result.n_results = count;
    result.more = ++job->reported < job->parts;
    job->host->report(job->host->arg, &result, 0);
}

/* The whole job as its one part. */
static void refuse_all(struct job *job, const char *text)
{
    struct slice all = {.count = job->recipient_count};
    job->parts = 1;
    job->next_part = 1;
    refuse_slice(job, &all, PB_OUTCOME(REFUSED), text);
}

/* ---- parts ---- */

static void ask(struct part *part)
{
    struct job *job = part->job;
    const struct delivery *delivery = &part->delivery;
    size_t count = 0;
    uint32_t *indices = NULL;
    if (job->parts > 1) { /* only these may be on their way, not the others of the job */
        count = delivery->recipient_count;
        indices = mem_zero(count, sizeof *indices);
        for (size_t i = 0; i < count; i++) {
            indices[i] = delivery->recipients[i].index;
        }
    }
    part->asked_ms = clock_mono_ms();
    job->host->ask(job->host->arg, job->lease.number, part->number, indices, count);
    free(indices);
}

static void part_ask(void *arg, struct delivery *delivery)
{
    struct part *part = arg;
    (void)delivery;
    /* Before the question leaves: from its answer on the disk says that this may have been sent. */
    part->slot = diary_note(part->job->host->diary, part->job->lease.number, part->number);
    ask(part);
}

static void part_begin(void *arg, struct delivery *delivery)
{
    struct part *part = arg;
    (void)delivery;
    diary_begun(part->job->host->diary, part->slot);
}

void job_ask_again(struct job *job, int64_t asked_before_ms)
{
    struct part *part = NULL;
    LIST_FOREACH(part, &job->active, link)
    {
        if (part->asked_ms != 0 && !part->answered && part->asked_ms < asked_before_ms) {
            ask(part);
        }
    }
}

static void start_parts(struct job *job);

/* Zeroed. */
static struct part *part_new(struct job *job)
{
    struct part *part = LIST_FIRST(&job->spare);
    if (part != NULL) {
        LIST_REMOVE(part, link);
    } else {
        part = arena_take(&job->arena, sizeof *part);
    }
    memset(part, 0, sizeof *part);
    part->job = job;
    return part;
}

static void part_spare(struct part *part)
{
    delivery_fini(&part->delivery);
    LIST_INSERT_HEAD(&part->job->spare, part, link);
}

static void part_free(struct part *part)
{
    LIST_REMOVE(part, link);
    part->job->active_count--;
    part_spare(part);
}

void job_abandon(struct job *job)
{
    struct part *part = LIST_FIRST(&job->active);
    while (part != NULL) {
        struct part *next = LIST_NEXT(part, link);
        part_free(part);
        part = next;
    }
    job_free(job);
}

static void part_done(void *arg, struct delivery *delivery)
{
    struct part *part = arg;
    struct job *job = part->job;
    (void)delivery;
    if (part->denied) {
        diary_forget(job->host->diary, part->slot);
    } else {
        report_part(job, part);
    }
    part_free(part);
    start_parts(job);
    end_if_over(job);
}

static enum err compose_part(const struct part *part, bool ascii_only,
                             struct delivery *delivery, struct err_text *why)
{
    const struct job *job = part->job;
    const struct slice *slice = part->slice;
    struct compose_input input = {
        .request = job->request,
        .plan = job->plan,
        .producer = job->lease.producer,
        .accepted_at_ms = job->lease.accepted_at_ms,
        .recipients = job->recipients + slice->first,
        .recipient_count = slice->count,
        .ascii_only = ascii_only,
        .one_each = job->one_each,
        .digests = job->host->digests,
        .keys = job->host->keys,
        .possible_duplicate = job->lease.possible_duplicate,
        .forms_checked = true, /* read_request */
    };
    delivery->part = part->number; /* stands in the file's name */
    return compose_mail(&input, delivery, why);
}

/* Everything else of a mail stays as it is: the same Message-ID, the same recipients in the same order. */
static bool part_without_utf8(void *arg, struct delivery *delivery)
{
    const struct part *part = arg;
    struct err_text why = {0};
    struct delivery again = {.part = 0};
    bool good = compose_part(part, true, &again, &why) == ERR_OK && !again.needs_utf8;
    if (good) {
        struct buf content = delivery->content;
        delivery->content = again.content;
        again.content = content;
        delivery->needs_utf8 = false;
    }
    delivery_fini(&again);
    return good;
}

static enum err make_delivery(struct part *part, struct err_text *why)
{
    const struct job *job = part->job;
    enum err err = compose_part(part, false, &part->delivery, why);
    part->delivery.plan = job->plan;
    part->delivery.profile_version = job->lease.profile_version;
    part->delivery.lease = job->lease.number;
    part->delivery.producer = job->lease.producer;
    part->delivery.request_id = job->request->id;
    part->delivery.look_only = job->lease.look_only;
    part->delivery.want_delivery_receipt = job->request->message->request_delivery_receipt;
    part->delivery.owner = &owner;
    part->delivery.owner_arg = part;
    return err;
}

static void start_part(struct job *job)
{
    struct err_text why = {0};
    struct part *part = part_new(job);
    const struct slice *slice = &job->slices[job->next_part++];
    part->slice = slice;
    part->number = slice->number;
    part->started_us = clock_mono_us();
    enum err err = make_delivery(part, &why);
    if (err != ERR_OK) {
        log_info("compose", "request=%s result=%s text=\"%s\"", job->request->id, err_name(err),
                 why.text);
        /* A key that cannot be used is no fault of the request: it waits until the profile is mended. */
        refuse_slice(job, slice, err == ERR_CONFIG ? PB_OUTCOME(DEFERRED) : PB_OUTCOME(REFUSED),
                     why.text);
        part_spare(part);
        return;
    }
    LIST_INSERT_HEAD(&job->active, part, link);
    job->active_count++;
    void *backend = job->host->backend(job->host->arg, job->plan->route);
    deliver_backend_of(job->plan->route)->start(backend, &part->delivery);
}

static void start_parts(struct job *job)
{
    if (job->busy > 0) {
        return; /* the loop below is running already */
    }
    job->busy++;
    while (job->next_part < job->parts && job->active_count < PARTS_AT_ONCE) {
        start_part(job);
    }
    job->busy--;
}

void job_permit(struct job *job, uint32_t number, enum deliver_permit permit)
{
    struct part *part = NULL;
    LIST_FOREACH(part, &job->active, link)
    {
        if (part->number == number && part->asked_ms != 0 && !part->answered) {
            part->answered = true;
            part->denied = permit == DELIVER_DENIED;
            void *backend = job->host->backend(job->host->arg, job->plan->route);
            deliver_backend_of(job->plan->route)->permit(backend, &part->delivery, permit);
            return;
        }
    }
}

/* ---- starting ---- */

static void choose_recipients(struct job *job, const PB(Job) *body)
{
    size_t all = job->request != NULL ? compose_recipient_count(job->request) : 0;
    job->recipient_count = body->n_recipients > 0 ? body->n_recipients : all;
    job->recipients = arena_take(&job->arena, job->recipient_count * sizeof *job->recipients);
    for (size_t i = 0; i < job->recipient_count;
         i++) { /* rising, as the broker made the list */
        job->recipients[i] = body->n_recipients > 0 ? body->recipients[i] : (uint32_t)i;
    }
}

static enum err choose_plan(struct job *job, const struct job_profile *profile,
                            struct err_text *why)
{
    if (profile != NULL) {
        job->plan = &profile->plan;
        *why = profile->why;
        return profile->good ? ERR_OK : ERR_INVALID;
    }
    const char *field = "settings";
    job->plan = &job->inline_plan;
    if (job->request->settings == NULL) {
        return err_set(why, ERR_INVALID,
                       "the request names a profile that the broker did not send");
    }
    enum err err = settings_plan(job->request->settings, &job->inline_plan, &field, why);
    job->inline_plan.of_request = true;
    job->inline_plan.keys = job->host->seal;
    return err;
}

/* A part's number is the place of its group in the whole list, not in what is left to be tried: so the file that a part
 * becomes has the same name on every attempt, and no other part ever has it. */
static void choose_parts(struct job *job)
{
    size_t all = compose_recipient_count(job->request);
    uint32_t limit = job->plan->max_recipients_per_message;
    job->one_each = job->request->split == PB_SPLIT(ONE_EACH);
    size_t group = job->one_each ? 1 : limit > 0 && limit < all ? limit : all;
    job->slices = arena_take(&job->arena, job->recipient_count * sizeof *job->slices);
    job->parts = 0;
    for (size_t i = 0; i < job->recipient_count; i++) {
        uint32_t number = (uint32_t)(job->recipients[i] / group);
        struct slice *last = job->parts > 0 ? &job->slices[job->parts - 1] : NULL;
        if (last == NULL || last->number != number) {
            last = &job->slices[job->parts++];
            *last = (struct slice){.number = number, .first = i};
        }
        last->count++;
    }
}

/* The broker checked it when it came in; these bytes crossed a network and a disk since. */
static PB(NotificationRequest) *read_request(const uint8_t *data, size_t len,
                                             struct arena *arena)
{
    struct wire_fault fault;
    if (check_bytes(PB_DESCRIPTOR(notification_request), data, len, &fault) != ERR_OK) {
        log_warn("job", "field=%s rule=\"%s\"", fault.field, fault.rule);
        return NULL;
    }
    return (PB(NotificationRequest) *)wire_unpack(PB_DESCRIPTOR(notification_request), arena,
                                                  len, data);
}

/* The mailbox of a recipient: over to, cc, bcc; null behind the last. */
static PB(Mailbox) *recipient_box(PB(Message) *message, size_t index)
{
    const struct {
        PB(Mailbox) **boxes;
        size_t count;
    } lists[] = {{message->to, message->n_to},
                 {message->cc, message->n_cc},
                 {message->bcc, message->n_bcc}};
    for (size_t i = 0; i < sizeof lists / sizeof lists[0]; i++) {
        if (index < lists[i].count) {
            return lists[i].boxes[index];
        }
        index -= lists[i].count;
    }
    return NULL;
}

/* What an operator changed. A display name stays only where the person may be the same: it was the name of the old address,
 * so it goes. False: the edit does not fit the request. */
static bool apply_edit(struct job *job, const PB(RequestEdit) *edit)
{
    PB(NotificationRequest) *request = job->request;
    for (size_t i = 0; edit != NULL && i < edit->n_recipients; i++) {
        const PB(AddressChange) *change = edit->recipients[i];
        PB(Mailbox) *box =
            request->message != NULL ? recipient_box(request->message, change->index) : NULL;
        struct err_text why;
        if (box == NULL || address_check(change->address, &why) != ERR_OK) {
            return false;
        }
        if (strcmp(box->address, change->address) != 0) {
            box->name = (char *)(uintptr_t) "";
        }
        box->address = arena_copy(&job->arena, change->address, strlen(change->address) + 1);
    }
    return true;
}

static struct job *job_new(const struct job_host *host, const PB(Job) *body,
                           size_t request_bytes)
{
    size_t room = request_bytes + ARENA_SPARE_BYTES;
    struct job *job = mem_resize(NULL, 1, sizeof *job + room);
    *job = (struct job){.host = host,
                        .lease = {.number = body->lease,
                                  .profile_version = body->profile_version,
                                  .accepted_at_ms = body->accepted_at_ms,
                                  .look_only = body->look_only,
                                  .possible_duplicate = body->possible_duplicate},
                        .parts = 1};
    arena_init(&job->arena, job->first, room);
    job->lease.producer = arena_copy(&job->arena, body->producer, strlen(body->producer) + 1);
    LIST_INIT(&job->active);
    LIST_INIT(&job->spare);
    return job;
}

void job_start(const struct job_host *host, const PB(Job) *body, const uint8_t *request,
               size_t len, const struct job_profile *profile)
{
    struct job *job = job_new(host, body, len);
    struct err_text why = {0};
    job->request = read_request(request, len, &job->arena);
    choose_recipients(job, body);
    host->begun(host->arg, job);
    job->busy++;
    if (job->request == NULL || job->recipient_count == 0) {
        refuse_all(job, "the request cannot be read");
    } else if (!apply_edit(job, body->edit)) {
        refuse_all(job, "an operator's edit does not fit the request");
    } else if (choose_plan(job, profile, &why) != ERR_OK) {
        refuse_all(job, why.text);
    } else {
        choose_parts(job);
    }
    job->busy--;
    start_parts(job);
    end_if_over(job);
}
