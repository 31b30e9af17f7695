/* The reply rules of one profile, or of a whole file, as profiles.yaml gives them: by name, in
 * the order of the file. */
#ifndef TPN_RULE_LIST_H
#define TPN_RULE_LIST_H

#include "conf.h"
#include "pb.h"

#include <stddef.h>

/* Zeroed: empty. The rules and their texts are owned. */
struct rule_list {
    PB(ReplyRule) **items;
    size_t count;
};

/* The map of a conf_row of kind CONF_MAP whose value is a struct rule_list. */
extern const struct conf_map rule_list_map;

/* Free all rules and leave it empty. */
void rule_list_fini(struct rule_list *list);

#endif
