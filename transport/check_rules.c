/* The rules of every field, as data. Nothing here runs but the look-up of a set.
 *
 * Rows stand in the order of the field numbers, because check.c uses the place of a field in
 * the descriptor as the place of its rule; tests/unit/check_test.c fails when the two part,
 * when a field has no row, and when proto/README.md tells something else. */
#include "check_rules.h"

#include "pb.h"
#include "wire.h"

#include <stddef.h>

enum {
    ID_MAX =
        128, /* request id: stands in a topic with a producer and a state, WIRE_TOPIC_BYTES */
    NAME_MAX_BYTES = 64,   /* profile, producer */
    SETTING_MAX = 1024,    /* texts of the Server tab */
    REFERENCE_MAX = 8192,  /* of a secret: SEAL_TEXT_MAX_BYTES */
    REASON_MAX = 1024,     /* a sentence for a person */
    RECIPIENTS_MAX = 3000, /* to, cc and bcc together */
    WORK_MAX = 4096,       /* leases, parts and results in one message */
    COUNT_MAX = 1000000,
    TIMEOUT_MIN = 100,
    TIMEOUT_MAX = 3600000
};

/* Times are milliseconds since 1970, up to the end of the year 9999: what a Date header can
 * say. */
#define TIME_MAX UINT64_C(253402300799999)
#define MIB UINT64_C(1048576)

#define SET(lower)                                                                             \
    {                                                                                          \
        PB_DESCRIPTOR(lower), lower##_rules, sizeof lower##_rules / sizeof lower##_rules[0]    \
    }

/* settings.proto */

static const struct check_rule reply_rule_rules[] = {
    {.field = "name", .form = CHECK_ID, .required = true, .max = NAME_MAX_BYTES},
    {.field = "phase", .form = CHECK_ENUM},
    {.field = "code", .form = CHECK_ID, .max = 3},
    {.field = "enhanced_code", .form = CHECK_ID, .max = 16},
    {.field = "text", .form = CHECK_LINE, .max = 128},
    {.field = "failure_class", .form = CHECK_ENUM, .required = true},
};
static const struct check_set reply_rule = SET(reply_rule);

static const struct check_rule mailing_settings_rules[] = {
    {.field = "method", .form = CHECK_ENUM},
    {.field = "show_client_screen", .form = CHECK_NUMBER},
    {.field = "smtp_server", .form = CHECK_LINE, .max = SETTING_MAX},
    {.field = "user_name", .form = CHECK_LINE, .max = SETTING_MAX},
    {.field = "password", .form = CHECK_LINE, .max = REFERENCE_MAX},
    {.field = "smtp_port", .form = CHECK_NUMBER, .min = 1, .max = 65535},
    {.field = "use_pickup_folder", .form = CHECK_NUMBER},
    {.field = "use_tls", .form = CHECK_NUMBER},
    {.field = "authentication", .form = CHECK_ENUM},
    {.field = "tls_mode", .form = CHECK_ENUM},
    {.field = "ca_file", .form = CHECK_LINE, .max = SETTING_MAX},
    {.field = "pinned_public_key", .form = CHECK_LINE, .max = SETTING_MAX},
    {.field = "tls_no_verify", .form = CHECK_NUMBER},
    {.field = "allow_cleartext_auth", .form = CHECK_NUMBER},
    {.field = "helo_name", .form = CHECK_LINE, .max = 255},
    {.field = "connect_timeout_ms",
     .form = CHECK_NUMBER,
     .min = TIMEOUT_MIN,
     .max = TIMEOUT_MAX},
    {.field = "reply_timeout_ms", .form = CHECK_NUMBER, .min = TIMEOUT_MIN, .max = TIMEOUT_MAX},
    {.field = "content_timeout_ms",
     .form = CHECK_NUMBER,
     .min = TIMEOUT_MIN,
     .max = TIMEOUT_MAX},
    {.field = "max_connections", .form = CHECK_NUMBER, .min = 1, .max = COUNT_MAX},
    {.field = "max_messages_per_minute", .form = CHECK_NUMBER, .min = 1, .max = COUNT_MAX},
    {.field = "max_recipients_per_day", .form = CHECK_NUMBER, .min = 1, .max = COUNT_MAX},
    {.field = "max_recipients_per_message", .form = CHECK_NUMBER, .min = 1, .max = COUNT_MAX},
    {.field = "max_messages_per_connection", .form = CHECK_NUMBER, .min = 1, .max = COUNT_MAX},
    {.field = "max_connection_age_ms",
     .form = CHECK_NUMBER,
     .min = TIMEOUT_MIN,
     .max = TIMEOUT_MAX},
    {.field = "idle_timeout_ms", .form = CHECK_NUMBER, .min = TIMEOUT_MIN, .max = TIMEOUT_MAX},
    {.field = "pipelining", .form = CHECK_ENUM},
    {.field = "pickup_dialect", .form = CHECK_ENUM},
    {.field = "unknown_policy", .form = CHECK_ENUM},
    {.field = "failover_profile", .form = CHECK_ID, .max = NAME_MAX_BYTES},
    {.field = "login_mechanisms", .form = CHECK_LINE, .max = 200},
    {.field = "ntlm_engine", .form = CHECK_ENUM},
    {.field = "oauth_grant", .form = CHECK_ENUM},
    {.field = "oauth_token_endpoint", .form = CHECK_LINE, .max = SETTING_MAX},
    {.field = "oauth_client_id", .form = CHECK_LINE, .max = SETTING_MAX},
    {.field = "oauth_client_secret", .form = CHECK_LINE, .max = SETTING_MAX},
    {.field = "oauth_refresh_token", .form = CHECK_LINE, .max = SETTING_MAX},
    {.field = "oauth_scope", .form = CHECK_LINE, .max = SETTING_MAX},
    {.field = "oauth_key", .form = CHECK_LINE, .max = SETTING_MAX},
    {.field = "oauth_ca_file", .form = CHECK_LINE, .max = SETTING_MAX},
    {.field = "reply_rules", .form = CHECK_MESSAGE, .max_entries = 64, .set = &reply_rule},
    {.field = "dkim_domain", .form = CHECK_LINE, .max = 255},
    {.field = "dkim_selector", .form = CHECK_LINE, .max = 63},
    {.field = "dkim_key", .form = CHECK_LINE, .max = REFERENCE_MAX},
    {.field = "dkim_second_selector", .form = CHECK_LINE, .max = 63},
    {.field = "dkim_second_key", .form = CHECK_LINE, .max = REFERENCE_MAX},
};
static const struct check_set mailing_settings = SET(mailing_settings);

static const struct check_rule share_rules[] = {
    {.field = "connections", .form = CHECK_NUMBER},
};
static const struct check_set share = SET(share);

static const struct check_rule profile_rules[] = {
    {.field = "name", .form = CHECK_ID, .required = true, .max = NAME_MAX_BYTES},
    {.field = "version", .form = CHECK_NUMBER, .required = true},
    {.field = "settings", .form = CHECK_MESSAGE, .required = true, .set = &mailing_settings},
    {.field = "share", .form = CHECK_MESSAGE, .set = &share},
};
static const struct check_set profile = SET(profile);

/* status.proto */

static const struct check_rule recipient_result_rules[] = {
    {.field = "address", .form = CHECK_LINE, .max = 254},
    {.field = "outcome", .form = CHECK_ENUM},
    {.field = "phase", .form = CHECK_ENUM},
    {.field = "smtp_code", .form = CHECK_NUMBER, .min = 200, .max = 599},
    {.field = "enhanced_code", .form = CHECK_ID, .max = 16},
    {.field = "text", .form = CHECK_LINE, .max = 512},
    {.field = "failure_class", .form = CHECK_ENUM},
    {.field = "may_have_it", .form = CHECK_NUMBER},
};
static const struct check_set recipient_result = SET(recipient_result);

static const struct check_rule watch_rules[] = {
    {.field = "name", .form = CHECK_ID, .max = 80},
    {.field = "kind", .form = CHECK_ENUM},
    {.field = "profile", .form = CHECK_ID, .max = NAME_MAX_BYTES},
    {.field = "producer", .form = CHECK_ID, .max = NAME_MAX_BYTES},
    {.field = "label", .form = CHECK_LINE, .max = 577},
    {.field = "delivered", .form = CHECK_NUMBER},
    {.field = "at_least", .form = CHECK_NUMBER},
    {.field = "seen", .form = CHECK_NUMBER},
    {.field = "accepted", .form = CHECK_NUMBER},
    {.field = "since_ms", .form = CHECK_NUMBER, .max = TIME_MAX},
    {.field = "deadline_ms", .form = CHECK_NUMBER, .max = TIME_MAX},
    {.field = "silent_since_ms", .form = CHECK_NUMBER, .max = TIME_MAX},
};
static const struct check_set watch = SET(watch);

static const struct check_rule status_event_rules[] = {
    {.field = "epoch", .form = CHECK_NUMBER},
    {.field = "sequence", .form = CHECK_NUMBER},
    {.field = "request_id", .form = CHECK_ID, .max = ID_MAX},
    {.field = "producer", .form = CHECK_ID, .max = NAME_MAX_BYTES},
    {.field = "profile", .form = CHECK_ID, .max = NAME_MAX_BYTES},
    {.field = "state", .form = CHECK_ENUM},
    {.field = "previous", .form = CHECK_ENUM},
    {.field = "attempt", .form = CHECK_NUMBER},
    {.field = "partial", .form = CHECK_NUMBER},
    {.field = "recipients",
     .form = CHECK_MESSAGE,
     .max_entries = RECIPIENTS_MAX,
     .set = &recipient_result},
    {.field = "reason", .form = CHECK_LINE, .max = REASON_MAX},
    {.field = "server", .form = CHECK_LINE, .max = SETTING_MAX},
    {.field = "tls_version", .form = CHECK_LINE, .max = 64},
    {.field = "queue_id", .form = CHECK_LINE, .max = 256},
    {.field = "worker", .form = CHECK_LINE, .max = 128},
    {.field = "at_ms", .form = CHECK_NUMBER, .max = TIME_MAX},
    {.field = "next_attempt_ms", .form = CHECK_NUMBER, .max = TIME_MAX},
    {.field = "message_id", .form = CHECK_LINE, .max = 320},
    {.field = "lease", .form = CHECK_NUMBER},
    {.field = "pickup_fate", .form = CHECK_ENUM},
    {.field = "part", .form = CHECK_NUMBER},
    {.field = "labels", .form = CHECK_LINE, .max_entries = 32, .max = 577},
    {.field = "subject", .form = CHECK_LINE, .max = 1000},
    {.field = "content_sha256", .form = CHECK_BYTES, .max = 32},
    {.field = "held", .form = CHECK_NUMBER},
    {.field = "operator", .form = CHECK_LINE, .max = NAME_MAX_BYTES},
    {.field = "watch", .form = CHECK_MESSAGE, .set = &watch},
};
static const struct check_set status_event = SET(status_event);

static const struct check_rule request_status_rules[] = {
    {.field = "id", .form = CHECK_ID, .max = ID_MAX},
    {.field = "state", .form = CHECK_ENUM},
    {.field = "producer", .form = CHECK_ID, .max = NAME_MAX_BYTES},
    {.field = "profile", .form = CHECK_ID, .max = NAME_MAX_BYTES},
    {.field = "attempt", .form = CHECK_NUMBER},
    {.field = "partial", .form = CHECK_NUMBER},
    {.field = "recipients",
     .form = CHECK_MESSAGE,
     .max_entries = RECIPIENTS_MAX,
     .set = &recipient_result},
    {.field = "reason", .form = CHECK_LINE, .max = REASON_MAX},
    {.field = "accepted_at_ms", .form = CHECK_NUMBER, .max = TIME_MAX},
    {.field = "changed_at_ms", .form = CHECK_NUMBER, .max = TIME_MAX},
    {.field = "next_attempt_ms", .form = CHECK_NUMBER, .max = TIME_MAX},
    {.field = "history", .form = CHECK_MESSAGE, .max_entries = 1000, .set = &status_event},
    {.field = "worker", .form = CHECK_LINE, .max = 128},
    {.field = "lease", .form = CHECK_NUMBER},
    {.field = "labels", .form = CHECK_LINE, .max_entries = 32, .max = 577},
    {.field = "held", .form = CHECK_NUMBER},
    {.field = "supersede_key", .form = CHECK_LINE, .max = 200},
    {.field = "due_ms", .form = CHECK_NUMBER, .max = TIME_MAX},
    {.field = "expire_at_ms", .form = CHECK_NUMBER, .max = TIME_MAX},
    {.field = "one_each", .form = CHECK_NUMBER},
    {.field = "waits_for", .form = CHECK_LINE, .max = 256},
};
static const struct check_set request_status = SET(request_status);

/* notification.proto */

static const struct check_rule mailbox_rules[] = {
    {.field = "name", .form = CHECK_LINE, .max = 256},
    {.field = "address", .form = CHECK_LINE, .required = true, .max = 254},
};
static const struct check_set mailbox = SET(mailbox);

static const struct check_rule attachment_rules[] = {
    {.field = "file_name", .form = CHECK_LINE, .max = 255},
    {.field = "content_type", .form = CHECK_MEDIA_TYPE, .max = 127},
    {.field = "content", .form = CHECK_BYTES, .max = 20 * MIB},
    {.field = "is_inline", .form = CHECK_NUMBER},
    {.field = "content_id", .form = CHECK_CONTENT_ID, .max = 200},
};
static const struct check_set attachment = SET(attachment);

static const struct check_rule header_rules[] = {
    {.field = "name",
     .form = CHECK_HEADER_NAME,
     .required = true,
     .max = CHECK_HEADER_NAME_MAX_BYTES},
    {.field = "value", .form = CHECK_LINE, .max = 2000},
};
static const struct check_set header = SET(header);

static const struct check_rule list_unsubscribe_rules[] = {
    {.field = "uris",
     .form = CHECK_URI,
     .required = true,
     .max_entries = 4,
     .max = CHECK_URI_MAX_BYTES},
    {.field = "one_click", .form = CHECK_NUMBER},
};
static const struct check_set list_unsubscribe = SET(list_unsubscribe);

static const struct check_rule message_rules[] = {
    {.field = "from", .form = CHECK_MESSAGE, .required = true, .set = &mailbox},
    {.field = "sender", .form = CHECK_MESSAGE, .set = &mailbox},
    {.field = "reply_to", .form = CHECK_MESSAGE, .max_entries = 10, .set = &mailbox},
    {.field = "to", .form = CHECK_MESSAGE, .max_entries = 1000, .set = &mailbox},
    {.field = "cc", .form = CHECK_MESSAGE, .max_entries = 1000, .set = &mailbox},
    {.field = "bcc", .form = CHECK_MESSAGE, .max_entries = 1000, .set = &mailbox},
    {.field = "subject", .form = CHECK_LINE, .max = 1000},
    {.field = "text", .form = CHECK_TEXT, .max = 8 * MIB},
    {.field = "html", .form = CHECK_TEXT, .max = 8 * MIB},
    {.field = "attachments", .form = CHECK_MESSAGE, .max_entries = 64, .set = &attachment},
    {.field = "calendar", .form = CHECK_BYTES, .max = 1 * MIB},
    {.field = "importance", .form = CHECK_ENUM},
    {.field = "request_read_receipt", .form = CHECK_NUMBER},
    {.field = "request_delivery_receipt", .form = CHECK_NUMBER},
    {.field = "headers", .form = CHECK_MESSAGE, .max_entries = 32, .set = &header},
    {.field = "list_unsubscribe", .form = CHECK_MESSAGE, .set = &list_unsubscribe},
};
static const struct check_set message = SET(message);

static const struct check_rule label_rules[] = {
    {.field = "name", .form = CHECK_ID, .required = true, .max = 64},
    {.field = "value", .form = CHECK_LINE, .max = 512},
};
static const struct check_set label = SET(label);

static const struct check_rule notification_request_rules[] = {
    {.field = "id", .form = CHECK_ID, .required = true, .max = ID_MAX},
    {.field = "kind", .form = CHECK_ENUM},
    {.field = "message", .form = CHECK_MESSAGE, .required = true, .set = &message},
    {.field = "profile", .form = CHECK_ID, .max = NAME_MAX_BYTES},
    {.field = "settings", .form = CHECK_MESSAGE, .set = &mailing_settings},
    {.field = "split", .form = CHECK_ENUM},
    {.field = "priority", .form = CHECK_ENUM},
    {.field = "not_before_ms", .form = CHECK_NUMBER, .max = TIME_MAX},
    {.field = "expire_at_ms", .form = CHECK_NUMBER, .max = TIME_MAX},
    {.field = "supersede_key", .form = CHECK_LINE, .max = 200},
    {.field = "labels", .form = CHECK_MESSAGE, .max_entries = 32, .set = &label},
    {.field = "traceparent", .form = CHECK_ID, .max = 55},
};
static const struct check_set notification_request = SET(notification_request);

static const struct check_rule withdraw_rules[] = {
    {.field = "supersede_key", .form = CHECK_LINE, .required = true, .max = 200},
    {.field = "reason", .form = CHECK_LINE, .max = 128},
};
static const struct check_set withdraw = SET(withdraw);

static const struct check_rule withdrawn_rules[] = {
    {.field = "supersede_key", .form = CHECK_LINE, .max = 200},
    {.field = "withdrawn", .form = CHECK_NUMBER},
    {.field = "left", .form = CHECK_NUMBER},
};
static const struct check_set withdrawn = SET(withdrawn);

static const struct check_rule receipt_rules[] = {
    {.field = "id", .form = CHECK_ID, .max = ID_MAX},
    {.field = "status", .form = CHECK_ENUM, .required = true},
    {.field = "state", .form = CHECK_ENUM},
    {.field = "field", .form = CHECK_LINE, .max = 160},
    {.field = "reason", .form = CHECK_LINE, .max = REASON_MAX},
    {.field = "retry_after_ms", .form = CHECK_NUMBER},
    {.field = "accepted_at_ms", .form = CHECK_NUMBER, .max = TIME_MAX},
    {.field = "takes_submits", .form = CHECK_NUMBER},
};
static const struct check_set receipt = SET(receipt);

static const struct check_rule submits_rules[] = {
    {.field = "request_bytes",
     .form = CHECK_NUMBER,
     .required = true,
     .max_entries = WIRE_SUBMITS_MAX},
};
static const struct check_set submits = SET(submits);

static const struct check_rule receipts_rules[] = {
    {.field = "receipts",
     .form = CHECK_MESSAGE,
     .required = true,
     .max_entries = 1000,
     .set = &receipt},
};
static const struct check_set receipts = SET(receipts);

static const struct check_rule query_rules[] = {
    {.field = "ids", .form = CHECK_ID, .required = true, .max_entries = 1000, .max = ID_MAX},
    {.field = "with_history", .form = CHECK_NUMBER},
};
static const struct check_set query = SET(query);

static const struct check_rule query_reply_rules[] = {
    {.field = "requests", .form = CHECK_MESSAGE, .max_entries = 1000, .set = &request_status},
};
static const struct check_set query_reply = SET(query_reply);

static const struct check_rule error_rules[] = {
    {.field = "verb", .form = CHECK_LINE, .max = 64},
    {.field = "field", .form = CHECK_LINE, .max = 160},
    {.field = "reason", .form = CHECK_LINE, .max = REASON_MAX},
};
static const struct check_set error = SET(error);

/* work.proto */

static const struct check_rule share_held_rules[] = {
    {.field = "profile_version", .form = CHECK_NUMBER, .required = true},
    {.field = "connections", .form = CHECK_NUMBER},
};
static const struct check_set share_held = SET(share_held);

static const struct check_rule ready_rules[] = {
    {.field = "worker", .form = CHECK_LINE, .required = true, .max = 128},
    {.field = "instance", .form = CHECK_ID, .required = true, .max = 64},
    {.field = "capabilities", .form = CHECK_LINE, .max_entries = 32, .max = 200},
    {.field = "credit", .form = CHECK_NUMBER, .min = 1, .max = COUNT_MAX},
    {.field = "leases", .form = CHECK_NUMBER, .max_entries = WORK_MAX},
    {.field = "version", .form = CHECK_LINE, .max = 64},
    {.field = "shares", .form = CHECK_MESSAGE, .max_entries = 10000, .set = &share_held},
};
static const struct check_set ready = SET(ready);

static const struct check_rule credit_rules[] = {
    {.field = "jobs", .form = CHECK_NUMBER, .min = 1, .max = COUNT_MAX},
};
static const struct check_set credit = SET(credit);

static const struct check_rule address_change_rules[] = {
    {.field = "index", .form = CHECK_NUMBER},
    {.field = "address", .form = CHECK_LINE, .required = true, .max = 254},
    {.field = "may_have_it", .form = CHECK_LINE, .max_entries = 100, .max = 254},
};
static const struct check_set address_change = SET(address_change);

static const struct check_rule request_edit_rules[] = {
    {.field = "profile", .form = CHECK_ID, .max = 64},
    {.field = "recipients",
     .form = CHECK_MESSAGE,
     .max_entries = RECIPIENTS_MAX,
     .set = &address_change},
};
static const struct check_set request_edit = SET(request_edit);

static const struct check_rule job_rules[] = {
    {.field = "lease", .form = CHECK_NUMBER, .required = true},
    {.field = "producer", .form = CHECK_ID, .max = NAME_MAX_BYTES},
    {.field = "attempt", .form = CHECK_NUMBER},
    {.field = "accepted_at_ms", .form = CHECK_NUMBER, .max = TIME_MAX},
    {.field = "deadline_ms", .form = CHECK_NUMBER, .max = TIME_MAX},
    {.field = "profile_version", .form = CHECK_NUMBER},
    {.field = "recipients", .form = CHECK_NUMBER, .max_entries = RECIPIENTS_MAX},
    {.field = "look_only", .form = CHECK_NUMBER},
    {.field = "possible_duplicate", .form = CHECK_NUMBER},
    {.field = "earlier_lease", .form = CHECK_NUMBER},
    {.field = "edit", .form = CHECK_MESSAGE, .set = &request_edit},
    {.field = "request_bytes", .form = CHECK_NUMBER},
};
static const struct check_set job = SET(job);

static const struct check_rule jobs_rules[] = {
    {.field = "jobs",
     .form = CHECK_MESSAGE,
     .required = true,
     .max_entries = 1000,
     .set = &job},
};
static const struct check_set jobs = SET(jobs);

static const struct check_rule part_rules[] = {
    {.field = "lease", .form = CHECK_NUMBER, .required = true},
    {.field = "part", .form = CHECK_NUMBER},
    {.field = "recipients", .form = CHECK_NUMBER, .max_entries = RECIPIENTS_MAX},
};
static const struct check_set part = SET(part);

static const struct check_rule permit_ask_rules[] = {
    {.field = "parts", .form = CHECK_MESSAGE, .max_entries = WORK_MAX, .set = &part},
};
static const struct check_set permit_ask = SET(permit_ask);

static const struct check_rule permit_rules[] = {
    {.field = "granted", .form = CHECK_MESSAGE, .max_entries = WORK_MAX, .set = &part},
    {.field = "denied", .form = CHECK_MESSAGE, .max_entries = WORK_MAX, .set = &part},
};
static const struct check_set permit = SET(permit);

static const struct check_rule job_result_rules[] = {
    {.field = "lease", .form = CHECK_NUMBER, .required = true},
    {.field = "recipients", .form = CHECK_NUMBER, .max_entries = RECIPIENTS_MAX},
    {.field = "results",
     .form = CHECK_MESSAGE,
     .max_entries = RECIPIENTS_MAX,
     .set = &recipient_result},
    {.field = "server", .form = CHECK_LINE, .max = SETTING_MAX},
    {.field = "tls_version", .form = CHECK_LINE, .max = 64},
    {.field = "queue_id", .form = CHECK_LINE, .max = 256},
    {.field = "handed_off", .form = CHECK_NUMBER},
    {.field = "duration_ms", .form = CHECK_NUMBER},
    {.field = "not_started", .form = CHECK_NUMBER},
    {.field = "message_id", .form = CHECK_LINE, .max = 320},
    {.field = "part", .form = CHECK_NUMBER},
    {.field = "more", .form = CHECK_NUMBER},
    {.field = "producer", .form = CHECK_ID, .max = NAME_MAX_BYTES},
    {.field = "request_id", .form = CHECK_ID, .max = ID_MAX},
    {.field = "pickup_fate", .form = CHECK_ENUM},
};
static const struct check_set job_result = SET(job_result);

static const struct check_rule result_rules[] = {
    {.field = "results", .form = CHECK_MESSAGE, .max_entries = WORK_MAX, .set = &job_result},
};
static const struct check_set result = SET(result);

static const struct check_rule result_ok_rules[] = {
    {.field = "parts", .form = CHECK_MESSAGE, .max_entries = WORK_MAX, .set = &part},
};
static const struct check_set result_ok = SET(result_ok);

static const struct check_rule extend_rules[] = {
    {.field = "leases", .form = CHECK_NUMBER, .max_entries = WORK_MAX},
};
static const struct check_set extend = SET(extend);

static const struct check_rule bye_rules[] = {
    {.field = "reason", .form = CHECK_LINE, .max = REASON_MAX},
};
static const struct check_set bye = SET(bye);

static const struct check_rule beat_rules[] = {
    {.field = "sequence", .form = CHECK_NUMBER},
    {.field = "shares", .form = CHECK_MESSAGE, .max_entries = 10000, .set = &share_held},
};
static const struct check_set beat = SET(beat);

static const struct check_rule drain_rules[] = {
    {.field = "deadline_ms", .form = CHECK_NUMBER},
};
static const struct check_set drain = SET(drain);

/* probe.proto */

static const struct check_rule probe_rules[] = {
    {.field = "profile", .form = CHECK_ID, .max = NAME_MAX_BYTES},
    {.field = "settings", .form = CHECK_MESSAGE, .set = &mailing_settings},
    {.field = "from", .form = CHECK_LINE, .max = 254},
    {.field = "recipient", .form = CHECK_LINE, .max = 254},
    {.field = "number", .form = CHECK_NUMBER},
    {.field = "profile_version", .form = CHECK_NUMBER},
};
static const struct check_set probe = SET(probe);

static const struct check_rule probe_step_rules[] = {
    {.field = "name", .form = CHECK_ENUM, .required = true},
    {.field = "verdict", .form = CHECK_ENUM, .required = true},
    {.field = "duration_us", .form = CHECK_NUMBER},
    {.field = "detail", .form = CHECK_LINE, .max = 1024},
    {.field = "smtp_code", .form = CHECK_NUMBER, .min = 200, .max = 599},
    {.field = "enhanced_code", .form = CHECK_ID, .max = 16},
    {.field = "text", .form = CHECK_LINE, .max = 512},
    {.field = "remedy", .form = CHECK_LINE, .max = 1024},
};
static const struct check_set probe_step = SET(probe_step);

static const struct check_rule probe_report_rules[] = {
    {.field = "passed", .form = CHECK_NUMBER},
    {.field = "steps", .form = CHECK_MESSAGE, .max_entries = 32, .set = &probe_step},
    {.field = "profile", .form = CHECK_ID, .max = NAME_MAX_BYTES},
    {.field = "server", .form = CHECK_LINE, .max = SETTING_MAX},
    {.field = "worker", .form = CHECK_LINE, .max = 128},
    {.field = "number", .form = CHECK_NUMBER},
};
static const struct check_set probe_report = SET(probe_report);

/* admin.proto */

static const struct check_rule queue_filter_rules[] = {
    {.field = "states", .form = CHECK_ENUM, .max_entries = 32},
    {.field = "profile", .form = CHECK_ID, .max = NAME_MAX_BYTES},
    {.field = "producer", .form = CHECK_ID, .max = NAME_MAX_BYTES},
    {.field = "id_prefix", .form = CHECK_ID, .max = ID_MAX},
    {.field = "label", .form = CHECK_LINE, .max = 577},
    {.field = "since_ms", .form = CHECK_NUMBER, .max = TIME_MAX},
    {.field = "before_ms", .form = CHECK_NUMBER, .max = TIME_MAX},
    {.field = "held", .form = CHECK_NUMBER},
};
static const struct check_set queue_filter = SET(queue_filter);

static const struct check_rule queue_list_rules[] = {
    {.field = "filter", .form = CHECK_MESSAGE, .set = &queue_filter},
    {.field = "after", .form = CHECK_NUMBER},
    {.field = "limit", .form = CHECK_NUMBER, .min = 1, .max = 1000},
};
static const struct check_set queue_list = SET(queue_list);

static const struct check_rule queue_page_rules[] = {
    {.field = "requests", .form = CHECK_MESSAGE, .max_entries = 1000, .set = &request_status},
    {.field = "next", .form = CHECK_NUMBER},
};
static const struct check_set queue_page = SET(queue_page);

static const struct check_rule queue_show_rules[] = {
    {.field = "producer", .form = CHECK_ID, .max = NAME_MAX_BYTES},
    {.field = "id", .form = CHECK_ID, .required = true, .max = ID_MAX},
};
static const struct check_set queue_show = SET(queue_show);

static const struct check_rule queue_act_rules[] = {
    {.field = "operation", .form = CHECK_ENUM, .required = true},
    {.field = "producer", .form = CHECK_ID, .max = NAME_MAX_BYTES},
    {.field = "ids", .form = CHECK_ID, .max_entries = 1000, .max = ID_MAX},
    {.field = "filter", .form = CHECK_MESSAGE, .set = &queue_filter},
    {.field = "limit", .form = CHECK_NUMBER, .min = 1, .max = 1000},
    {.field = "reason", .form = CHECK_LINE, .max = 128},
    {.field = "operator", .form = CHECK_LINE, .required = true, .max = NAME_MAX_BYTES},
    {.field = "after", .form = CHECK_NUMBER},
    {.field = "edit", .form = CHECK_MESSAGE, .set = &request_edit},
};
static const struct check_set queue_act = SET(queue_act);

static const struct check_rule act_result_rules[] = {
    {.field = "id", .form = CHECK_ID, .max = ID_MAX},
    {.field = "producer", .form = CHECK_ID, .max = NAME_MAX_BYTES},
    {.field = "done", .form = CHECK_NUMBER},
    {.field = "before", .form = CHECK_ENUM},
    {.field = "after", .form = CHECK_ENUM},
    {.field = "reason", .form = CHECK_LINE, .max = REASON_MAX},
};
static const struct check_set act_result = SET(act_result);

static const struct check_rule queue_acted_rules[] = {
    {.field = "results", .form = CHECK_MESSAGE, .max_entries = 1000, .set = &act_result},
    {.field = "next", .form = CHECK_NUMBER},
};
static const struct check_set queue_acted = SET(queue_acted);

static const struct check_rule top_row_rules[] = {
    {.field = "name", .form = CHECK_LINE, .max = 253},
    {.field = "ages", .form = CHECK_NUMBER, .max_entries = 16},
    {.field = "oldest_ms", .form = CHECK_NUMBER, .max = TIME_MAX},
};
static const struct check_set top_row = SET(top_row);

static const struct check_rule top_rules[] = {
    {.field = "by", .form = CHECK_ENUM},
    {.field = "filter", .form = CHECK_MESSAGE, .set = &queue_filter},
    {.field = "after", .form = CHECK_NUMBER},
};
static const struct check_set top = SET(top);

static const struct check_rule tops_rules[] = {
    {.field = "rows", .form = CHECK_MESSAGE, .max_entries = 10000, .set = &top_row},
    {.field = "next", .form = CHECK_NUMBER},
    {.field = "looked", .form = CHECK_NUMBER},
};
static const struct check_set tops = SET(tops);

static const struct check_rule drain_act_rules[] = {
    {.field = "workers", .form = CHECK_LINE, .max_entries = 1000, .max = 128},
    {.field = "resume", .form = CHECK_NUMBER},
    {.field = "deadline_ms", .form = CHECK_NUMBER},
    {.field = "reason", .form = CHECK_LINE, .max = 128},
    {.field = "operator", .form = CHECK_LINE, .required = true, .max = 64},
};
static const struct check_set drain_act = SET(drain_act);

static const struct check_rule draining_rules[] = {
    {.field = "workers", .form = CHECK_LINE, .max_entries = 1000, .max = 128},
    {.field = "broker", .form = CHECK_NUMBER},
};
static const struct check_set draining = SET(draining);

static const struct check_rule event_place_rules[] = {
    {.field = "epoch", .form = CHECK_NUMBER},
    {.field = "sequence", .form = CHECK_NUMBER},
};
static const struct check_set event_place = SET(event_place);

static const struct check_rule replay_rules[] = {
    {.field = "after", .form = CHECK_MESSAGE, .set = &event_place},
    {.field = "until", .form = CHECK_MESSAGE, .set = &event_place},
    {.field = "limit", .form = CHECK_NUMBER, .min = 1, .max = 1000},
};
static const struct check_set replay = SET(replay);

static const struct check_rule replayed_rules[] = {
    {.field = "events", .form = CHECK_MESSAGE, .max_entries = 1000, .set = &status_event},
    {.field = "next", .form = CHECK_MESSAGE, .set = &event_place},
    {.field = "first", .form = CHECK_MESSAGE, .set = &event_place},
};
static const struct check_set replayed = SET(replayed);

static const struct check_rule days_ask_rules[] = {
    {.field = "log", .form = CHECK_ENUM},
    {.field = "after", .form = CHECK_NUMBER},
    {.field = "limit", .form = CHECK_NUMBER, .min = 1, .max = 1000},
};
static const struct check_set days_ask = SET(days_ask);

static const struct check_rule evidence_day_rules[] = {
    {.field = "day", .form = CHECK_NUMBER},
    {.field = "first", .form = CHECK_NUMBER},
    {.field = "last", .form = CHECK_NUMBER},
    {.field = "count", .form = CHECK_NUMBER},
    {.field = "start", .form = CHECK_BYTES, .max = 32},
    {.field = "head", .form = CHECK_BYTES, .max = 32},
    {.field = "open", .form = CHECK_NUMBER},
    {.field = "swept", .form = CHECK_NUMBER},
    {.field = "chained", .form = CHECK_NUMBER},
};
static const struct check_set evidence_day = SET(evidence_day);

static const struct check_rule days_rules[] = {
    {.field = "days", .form = CHECK_MESSAGE, .max_entries = 1000, .set = &evidence_day},
    {.field = "more", .form = CHECK_NUMBER},
};
static const struct check_set days = SET(days);

static const struct check_rule evidence_ask_rules[] = {
    {.field = "log", .form = CHECK_ENUM},
    {.field = "after", .form = CHECK_NUMBER},
    {.field = "until", .form = CHECK_NUMBER},
    {.field = "from_ms", .form = CHECK_NUMBER, .max = TIME_MAX},
    {.field = "to_ms", .form = CHECK_NUMBER, .max = TIME_MAX},
    {.field = "label", .form = CHECK_LINE, .max = 577},
    {.field = "limit", .form = CHECK_NUMBER, .min = 1, .max = 1000},
};
static const struct check_set evidence_ask = SET(evidence_ask);

static const struct check_rule evidence_entry_rules[] = {
    {.field = "number", .form = CHECK_NUMBER},
    {.field = "request", .form = CHECK_NUMBER},
    {.field = "at_ms", .form = CHECK_NUMBER, .max = TIME_MAX},
    {.field = "data", .form = CHECK_BYTES, .max = 1 * MIB},
    {.field = "digest", .form = CHECK_BYTES, .max = 32},
    {.field = "chain", .form = CHECK_BYTES, .max = 32},
};
static const struct check_set evidence_entry = SET(evidence_entry);

static const struct check_rule evidence_rules[] = {
    {.field = "entries", .form = CHECK_MESSAGE, .max_entries = 1000, .set = &evidence_entry},
    {.field = "next", .form = CHECK_NUMBER},
};
static const struct check_set evidence = SET(evidence);

static const struct check_rule backup_act_rules[] = {
    {.field = "step", .form = CHECK_ENUM, .required = true},
    {.field = "offset", .form = CHECK_NUMBER},
    {.field = "operator", .form = CHECK_LINE, .required = true, .max = 64},
};
static const struct check_set backup_act = SET(backup_act);

static const struct check_rule backed_up_rules[] = {
    {.field = "ready", .form = CHECK_NUMBER},
    {.field = "pages_done", .form = CHECK_NUMBER},
    {.field = "pages", .form = CHECK_NUMBER},
    {.field = "size", .form = CHECK_NUMBER},
    {.field = "data", .form = CHECK_BYTES, .max = 1 * MIB},
    {.field = "reason", .form = CHECK_LINE, .max = REASON_MAX},
};
static const struct check_set backed_up = SET(backed_up);

static const struct check_rule audit_record_rules[] = {
    {.field = "who", .form = CHECK_LINE, .required = true, .max = 128},
    {.field = "act", .form = CHECK_LINE, .required = true, .max = 64},
    {.field = "target", .form = CHECK_LINE, .max = 512},
    {.field = "outcome", .form = CHECK_LINE, .required = true, .max = 32},
    {.field = "why", .form = CHECK_LINE, .max = 512},
    {.field = "at_ms", .form = CHECK_NUMBER, .max = TIME_MAX},
    {.field = "count", .form = CHECK_NUMBER},
};
static const struct check_set audit_record = SET(audit_record);

static const struct check_set stats_ask = {PB_DESCRIPTOR(stats_ask), NULL, 0};

static const struct check_rule state_count_rules[] = {
    {.field = "state", .form = CHECK_ENUM},
    {.field = "count", .form = CHECK_NUMBER},
};
static const struct check_set state_count = SET(state_count);

static const struct check_rule worker_info_rules[] = {
    {.field = "name", .form = CHECK_LINE, .max = 128},
    {.field = "instance", .form = CHECK_ID, .max = 64},
    {.field = "capabilities", .form = CHECK_LINE, .max_entries = 32, .max = 200},
    {.field = "credit", .form = CHECK_NUMBER},
    {.field = "leased", .form = CHECK_NUMBER},
    {.field = "last_heard_ms", .form = CHECK_NUMBER, .max = TIME_MAX},
};
static const struct check_set worker_info = SET(worker_info);

static const struct check_rule held_profile_rules[] = {
    {.field = "name", .form = CHECK_ID, .max = 64},
    {.field = "reason", .form = CHECK_LINE, .max = 512},
    {.field = "since_ms", .form = CHECK_NUMBER, .max = TIME_MAX},
};
static const struct check_set held_profile = SET(held_profile);

static const struct check_rule hold_rules[] = {
    {.field = "kind", .form = CHECK_ENUM},
    {.field = "scope", .form = CHECK_ENUM},
    {.field = "name", .form = CHECK_LINE, .max = 255},
    {.field = "reason", .form = CHECK_LINE, .max = 512},
    {.field = "since_ms", .form = CHECK_NUMBER, .max = TIME_MAX},
    {.field = "until_ms", .form = CHECK_NUMBER, .max = TIME_MAX},
    {.field = "operator", .form = CHECK_LINE, .max = NAME_MAX_BYTES},
    {.field = "probing", .form = CHECK_NUMBER},
};
static const struct check_set hold = SET(hold);

static const struct check_rule profile_flow_rules[] = {
    {.field = "profile", .form = CHECK_ID, .max = 64},
    {.field = "waiting", .form = CHECK_NUMBER},
    {.field = "connections", .form = CHECK_NUMBER},
    {.field = "max_connections", .form = CHECK_NUMBER},
    {.field = "messages_in_minute", .form = CHECK_NUMBER},
    {.field = "max_messages_per_minute", .form = CHECK_NUMBER},
    {.field = "recipients_in_day", .form = CHECK_NUMBER},
    {.field = "max_recipients_per_day", .form = CHECK_NUMBER},
    {.field = "settled_in_ten_minutes", .form = CHECK_NUMBER},
    {.field = "empty_at_ms", .form = CHECK_NUMBER, .max = TIME_MAX},
    {.field = "held", .form = CHECK_NUMBER},
    {.field = "waiting_recipients", .form = CHECK_NUMBER},
    {.field = "waiting_mails", .form = CHECK_NUMBER},
    {.field = "recipients_in_ten_minutes", .form = CHECK_NUMBER},
};
static const struct check_set profile_flow = SET(profile_flow);

static const struct check_rule kept_window_rules[] = {
    {.field = "newest", .form = CHECK_NUMBER},
    {.field = "counts", .form = CHECK_NUMBER, .max_entries = 97},
};
static const struct check_set kept_window = SET(kept_window);

static const struct check_rule kept_brake_rules[] = {
    {.field = "holds", .form = CHECK_MESSAGE, .max_entries = 16, .set = &hold},
    {.field = "minute", .form = CHECK_MESSAGE, .set = &kept_window},
    {.field = "day", .form = CHECK_MESSAGE, .set = &kept_window},
    {.field = "version", .form = CHECK_NUMBER},
    {.field = "settled", .form = CHECK_MESSAGE, .set = &kept_window},
    {.field = "decided", .form = CHECK_MESSAGE, .set = &kept_window},
};
static const struct check_set kept_brake = SET(kept_brake);

static const struct check_rule kept_watch_rules[] = {
    {.field = "judged_ms", .form = CHECK_NUMBER, .max = TIME_MAX},
    {.field = "since_ms", .form = CHECK_NUMBER, .max = TIME_MAX},
    {.field = "silent_since_ms", .form = CHECK_NUMBER, .max = TIME_MAX},
    {.field = "window_ms", .form = CHECK_NUMBER, .max = TIME_MAX},
    {.field = "missed_ms", .form = CHECK_NUMBER, .max = TIME_MAX},
    {.field = "after", .form = CHECK_NUMBER},
};
static const struct check_set kept_watch = SET(kept_watch);

static const struct check_rule pause_rules[] = {
    {.field = "scope", .form = CHECK_ENUM, .required = true},
    {.field = "name", .form = CHECK_LINE, .max = 255},
    {.field = "until_ms", .form = CHECK_NUMBER, .max = TIME_MAX},
    {.field = "resume", .form = CHECK_NUMBER},
    {.field = "reason", .form = CHECK_LINE, .max = 128},
    {.field = "operator", .form = CHECK_LINE, .required = true, .max = NAME_MAX_BYTES},
};
static const struct check_set pause = SET(pause);

static const struct check_rule paused_rules[] = {
    {.field = "holds", .form = CHECK_MESSAGE, .max_entries = 10000, .set = &hold},
    {.field = "changed", .form = CHECK_NUMBER},
};
static const struct check_set paused = SET(paused);

static const struct check_rule profile_ask_rules[] = {
    {.field = "name", .form = CHECK_ID, .max = NAME_MAX_BYTES},
    {.field = "check", .form = CHECK_NUMBER},
    {.field = "reveal", .form = CHECK_NUMBER},
};
static const struct check_set profile_ask = SET(profile_ask);

static const struct check_rule profile_list_rules[] = {
    {.field = "profiles", .form = CHECK_MESSAGE, .max_entries = 10000, .set = &profile},
    {.field = "errors", .form = CHECK_LINE, .max_entries = 1000, .max = 4096},
};
static const struct check_set profile_list = SET(profile_list);

static const struct check_rule stats_rules[] = {
    {.field = "states", .form = CHECK_MESSAGE, .max_entries = 32, .set = &state_count},
    {.field = "workers", .form = CHECK_MESSAGE, .max_entries = WORK_MAX, .set = &worker_info},
    {.field = "epoch", .form = CHECK_NUMBER},
    {.field = "sequence", .form = CHECK_NUMBER},
    {.field = "version", .form = CHECK_LINE, .max = 64},
    {.field = "accepting", .form = CHECK_NUMBER},
    {.field = "not_accepting_reason", .form = CHECK_LINE, .max = REASON_MAX},
    {.field = "started_at_ms", .form = CHECK_NUMBER, .max = TIME_MAX},
    {.field = "held", .form = CHECK_MESSAGE, .max_entries = 10000, .set = &held_profile},
    {.field = "holds", .form = CHECK_MESSAGE, .max_entries = 10000, .set = &hold},
    {.field = "flows", .form = CHECK_MESSAGE, .max_entries = 10000, .set = &profile_flow},
    {.field = "poisoned", .form = CHECK_NUMBER},
    {.field = "drained", .form = CHECK_NUMBER},
    {.field = "refused_keys", .form = CHECK_NUMBER},
    {.field = "refused_roles", .form = CHECK_NUMBER},
    {.field = "refused_revoked", .form = CHECK_NUMBER},
    {.field = "refused_by_policy", .form = CHECK_NUMBER},
    {.field = "refused_by_rate", .form = CHECK_NUMBER},
    {.field = "refused_messages", .form = CHECK_NUMBER},
    {.field = "handshakes_failed", .form = CHECK_NUMBER},
    {.field = "keys", .form = CHECK_NUMBER},
    {.field = "keys_fault", .form = CHECK_LINE, .max = 512},
    {.field = "duplicates", .form = CHECK_NUMBER},
    {.field = "watches", .form = CHECK_MESSAGE, .max_entries = 20000, .set = &watch},
};
static const struct check_set stats = SET(stats);

/* Those that come most often first. */
static const struct check_set *const sets[] = {
    &notification_request,
    &result,
    &ready,
    &credit,
    &permit_ask,
    &extend,
    &beat,
    &bye,
    &query,
    &queue_list,
    &queue_show,
    &queue_act,
    &stats_ask,
    &profile_ask,
    &pause,
    &withdraw,
    &receipt,
    &submits,
    &receipts,
    &query_reply,
    &error,
    &job,
    &jobs,
    &permit,
    &result_ok,
    &profile,
    &drain,
    &status_event,
    &probe,
    &probe_report,
    &queue_page,
    &queue_acted,
    &stats,
    &profile_list,
    &paused,
    &withdrawn,
    &message,
    &mailbox,
    &attachment,
    &header,
    &list_unsubscribe,
    &label,
    &mailing_settings,
    &reply_rule,
    &recipient_result,
    &request_status,
    &part,
    &job_result,
    &queue_filter,
    &act_result,
    &audit_record,
    &address_change,
    &request_edit,
    &top_row,
    &top,
    &tops,
    &drain_act,
    &draining,
    &event_place,
    &replay,
    &replayed,
    &days_ask,
    &evidence_day,
    &days,
    &evidence_ask,
    &evidence_entry,
    &evidence,
    &backup_act,
    &backed_up,
    &state_count,
    &worker_info,
    &held_profile,
    &hold,
    &profile_flow,
    &kept_window,
    &kept_brake,
    &kept_watch,
    &watch,
    &share,
    &share_held,
    &probe_step,
};

const struct check_set *check_rules_find(const ProtobufCMessageDescriptor *type)
{
    for (size_t i = 0; i < sizeof sets / sizeof sets[0]; i++) {
        if (sets[i]->type == type) {
            return sets[i];
        }
    }
    return NULL;
}

const struct check_set *check_rules_at(size_t i)
{
    return i < sizeof sets / sizeof sets[0] ? sets[i] : NULL;
}
