/* Protobuf structs as the public ones show them, so that tpn.h needs no other header.
 *
 * Texts are borrowed from the message. The numbers of states and outcomes are those of
 * status.proto; the assertions below hold the two against each other. */
#include "tpn_convert.h"

#include "mem.h"
#include "pb_text.h"

#include <assert.h>
#include <stdlib.h>

static_assert((int)TPN_STATE_UNKNOWN == (int)PB_STATE(UNKNOWN), "states as in status.proto");
static_assert((int)TPN_STATE_SENT == (int)PB_STATE(SENT), "states as in status.proto");
static_assert((int)TPN_OUTCOME_PERMITTED == (int)PB_OUTCOME(PERMITTED),
              "outcomes as in status.proto");
static_assert((int)TPN_RECEIPT_REJECTED == (int)PB_RECEIPT(REJECTED),
              "as in notification.proto");

static struct tpn_recipient *convert_recipients(PB(RecipientResult) *const from[], size_t count)
{
    struct tpn_recipient *recipients = mem_zero(count + 1, sizeof *recipients);
    for (size_t i = 0; i < count; i++) {
        bool decided = from[i]->phase != PB_PHASE(UNSPECIFIED);
        recipients[i] = (struct tpn_recipient){
            .address = from[i]->address,
            .outcome = (enum tpn_outcome)from[i]->outcome,
            .phase = decided ? pb_phase_word((int)from[i]->phase) : "",
            .smtp_code = from[i]->smtp_code,
            .enhanced_code = from[i]->enhanced_code,
            .text = from[i]->text,
            .failure_class = from[i]->failure_class != PB_CLASS(NONE)
                                 ? pb_class_word((int)from[i]->failure_class)
                                 : "",
        };
    }
    return recipients;
}

void convert_event(const PB(StatusEvent) *from, struct tpn_event *event)
{
    *event = (struct tpn_event){
        .epoch = from->epoch,
        .sequence = from->sequence,
        .id = from->request_id,
        .producer = from->producer,
        .profile = from->profile,
        .state = (enum tpn_state)from->state,
        .previous = (enum tpn_state)from->previous,
        .attempt = from->attempt,
        .partial = from->partial,
        .recipient_count = from->n_recipients,
        .recipients = convert_recipients(from->recipients, from->n_recipients),
        .reason = from->reason,
        .server = from->server,
        .tls_version = from->tls_version,
        .queue_id = from->queue_id,
        .worker = from->worker,
        .message_id = from->message_id,
        .at_ms = from->at_ms,
        .next_attempt_ms = from->next_attempt_ms,
        .watch = from->watch != NULL ? (enum tpn_watch)from->watch->kind : TPN_WATCH_NONE,
        .expectation = from->watch != NULL ? from->watch->name : "",
    };
}

void convert_status(const PB(RequestStatus) *from, struct tpn_status *status)
{
    *status = (struct tpn_status){
        .id = from->id,
        .state = (enum tpn_state)from->state,
        .producer = from->producer,
        .profile = from->profile,
        .attempt = from->attempt,
        .partial = from->partial,
        .recipient_count = from->n_recipients,
        .recipients = convert_recipients(from->recipients, from->n_recipients),
        .reason = from->reason,
        .accepted_at_ms = from->accepted_at_ms,
        .changed_at_ms = from->changed_at_ms,
        .next_attempt_ms = from->next_attempt_ms,
    };
}

void convert_free_recipients(const struct tpn_recipient *recipients)
{
    free((void *)(uintptr_t)recipients);
}

const char *tpn_state_word(enum tpn_state state)
{
    return state == TPN_STATE_NONE ? "NONE" : pb_state_word((int)state);
}

const char *tpn_outcome_word(enum tpn_outcome outcome)
{
    return pb_outcome_word((int)outcome);
}

const char *tpn_receipt_word(enum tpn_receipt_status status)
{
    return status == TPN_RECEIPT_NOT_KNOWN
               ? "NOT_KNOWN"
               : pb_enum_word(PB_DESCRIPTOR(receipt_status), (int)status);
}

int tpn_state_is_final(enum tpn_state state)
{
    return pb_state_final((int)state) ? 1 : 0;
}
