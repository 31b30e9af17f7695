/* One value of a configuration file, read by its row: the inside of conf.h, for conf.c only. */
#ifndef TPN_CONF_VALUE_H
#define TPN_CONF_VALUE_H

#include "conf.h"

/* Read text as the row says and put it into value (the row's place in its target). ERR_CONFIG with the rule in why, and
 * value as it was. */
enum err conf_value_set(const struct conf_row *row, const char *text, void *value,
                        struct err_text *why) NODISCARD;

/* Add one entry to a list. ERR_CONFIG when it breaks the row's rules. */
enum err conf_value_add(const struct conf_row *row, struct conf_texts *texts, const char *text,
                        struct err_text *why) NODISCARD;

/* Free a list and leave it empty. */
void conf_value_free_texts(struct conf_texts *texts);

/* Is a text ours to free? It is when it is not empty or when conf_defaults put it there; any other empty text may be a
 * constant, as the empty strings of protobuf-c are. Accepts null. */
bool conf_value_owns(const struct conf_row *row, const char *text);

#endif
