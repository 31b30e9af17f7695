/* Short names for what protoc-c generates.
 *
 * protoc-c spells the package into each name (Trackpro__Notify__V1__Job). These macros are the only place
 * that knows it, so the rest of the code reads PB(Job) and PB_STATE(SENT). */
#ifndef TPN_PB_H
#define TPN_PB_H

#include "admin.pb-c.h"
#include "notification.pb-c.h"
#include "probe.pb-c.h"
#include "settings.pb-c.h"
#include "status.pb-c.h"
#include "work.pb-c.h"

/* The struct of a message: PB(Job) *job. */
#define PB(name) struct Trackpro__Notify__V1__##name

/* Enumerators, by the name that follows the prefix in the .proto file. */
#define PB_STATE(name) TRACKPRO__NOTIFY__V1__STATE__STATE_##name
#define PB_OUTCOME(name) TRACKPRO__NOTIFY__V1__OUTCOME__OUTCOME_##name
#define PB_PHASE(name) TRACKPRO__NOTIFY__V1__PHASE__PHASE_##name
#define PB_FATE(name) TRACKPRO__NOTIFY__V1__PICKUP_FATE__PICKUP_FATE_##name
#define PB_CLASS(name) TRACKPRO__NOTIFY__V1__FAILURE_CLASS__FAILURE_CLASS_##name
#define PB_RECEIPT(name) TRACKPRO__NOTIFY__V1__RECEIPT_STATUS__RECEIPT_STATUS_##name
#define PB_KIND(name) TRACKPRO__NOTIFY__V1__KIND__KIND_##name
#define PB_SPLIT(name) TRACKPRO__NOTIFY__V1__SPLIT__SPLIT_##name
#define PB_PRIORITY(name) TRACKPRO__NOTIFY__V1__PRIORITY__PRIORITY_##name
#define PB_IMPORTANCE(name) TRACKPRO__NOTIFY__V1__IMPORTANCE__IMPORTANCE_##name
#define PB_METHOD(name) TRACKPRO__NOTIFY__V1__METHOD__METHOD_##name
#define PB_AUTH(name) TRACKPRO__NOTIFY__V1__AUTHENTICATION__AUTHENTICATION_##name
#define PB_GRANT(name) TRACKPRO__NOTIFY__V1__OAUTH_GRANT__OAUTH_GRANT_##name
#define PB_NTLM(name) TRACKPRO__NOTIFY__V1__NTLM_ENGINE__NTLM_ENGINE_##name
#define PB_TLS(name) TRACKPRO__NOTIFY__V1__TLS_MODE__TLS_MODE_##name
#define PB_PIPELINING(name) TRACKPRO__NOTIFY__V1__PIPELINING__PIPELINING_##name
#define PB_DIALECT(name) TRACKPRO__NOTIFY__V1__PICKUP_DIALECT__PICKUP_DIALECT_##name
#define PB_OPERATION(name) TRACKPRO__NOTIFY__V1__OPERATION__OPERATION_##name
#define PB_PROBE(name) TRACKPRO__NOTIFY__V1__PROBE_STEP_NAME__PROBE_STEP_NAME_##name
#define PB_VERDICT(name) TRACKPRO__NOTIFY__V1__PROBE_VERDICT__PROBE_VERDICT_##name
#define PB_POLICY(name) TRACKPRO__NOTIFY__V1__UNKNOWN_POLICY__UNKNOWN_POLICY_##name
#define PB_HOLD(name) TRACKPRO__NOTIFY__V1__HOLD_KIND__HOLD_KIND_##name
#define PB_SCOPE(name) TRACKPRO__NOTIFY__V1__HOLD_SCOPE__HOLD_SCOPE_##name
#define PB_WATCH(name) TRACKPRO__NOTIFY__V1__WATCH_KIND__WATCH_KIND_##name

/* Descriptor of a message or an enum, by its C name in lower case: PB_DESCRIPTOR(job). */
#define PB_DESCRIPTOR(lower) (&trackpro__notify__v1__##lower##__descriptor)

/* Initialiser of a message, by its C name in capitals: PB(Job) job = PB_INIT(JOB). */
#define PB_INIT(upper) TRACKPRO__NOTIFY__V1__##upper##__INIT

/* Unpack with the default allocator; free with pb_free. Null when the bytes are no such message. */
#define PB_UNPACK(lower, len, data) trackpro__notify__v1__##lower##__unpack(NULL, (len), (data))

#endif
