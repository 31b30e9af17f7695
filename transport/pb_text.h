/* Protobuf messages for people and for scripts: words of enums, JSON of any message, one line
 * of a status event. */
#ifndef TPN_PB_TEXT_H
#define TPN_PB_TEXT_H

#include "buf.h"
#include "json.h"
#include "pb.h"

#include <protobuf-c/protobuf-c.h>

/* The word of an enumerator without the prefix of its enum: "SENT", "FINAL_DOT"; "?" for a
 * number that the enum does not have. Borrowed for ever. */
const char *pb_enum_word(const ProtobufCEnumDescriptor *type, int value);

/* The reverse, in any case: "sent" gives PB_STATE(SENT). ERR_NOT_FOUND when there is none. */
enum err pb_enum_parse(const ProtobufCEnumDescriptor *type, const char *word,
                       int *value) NODISCARD;

const char *pb_state_word(int state);
const char *pb_outcome_word(int outcome);
const char *pb_phase_word(int phase);
const char *pb_class_word(int class);
const char *pb_watch_word(int kind);

/* Whose mail a hold is about: "profile ", "producer ", "mail to " or "all mail"; its name follows. */
const char *pb_scope_words(int scope);

/* True for the states that nothing leaves by itself: SENT, HANDED_OFF, FAILED, EXPIRED,
 * CANCELLED. */
bool pb_state_final(int state);

/* The message as a JSON object. Keys are the field names of the .proto file, every field is
 * there, enums are words, 64-bit numbers are numbers; a message that is not set is null, bytes
 * are left out. key as in json.h. */
void pb_json(struct json *j, const char *key, const ProtobufCMessage *message);

/* The fields that are set, one a line as "name: value"; messages within are left out. Texts with blanks, quotes or control
 * bytes are quoted. indent goes before each line. */
void pb_text_fields(struct buf *out, const ProtobufCMessage *message, const char *indent);

/* One recipient as "<address> OUTCOME (CLASS) PHASE code enhanced "text"", without a line end. */
void pb_text_recipient(struct buf *out, const PB(RecipientResult) *recipient);

/* One event as one line without its end: time, state, id, then key=value, then recipients. */
void pb_text_event(struct buf *out, const PB(StatusEvent) *event);

#endif
