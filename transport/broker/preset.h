/* Presets of profiles.yaml: what a well-known mail service asks for, as if the keys stood in the
 * profile. Own keys win. */
#ifndef TPN_PRESET_H
#define TPN_PRESET_H

#include "conf.h"

/* The words of the key preset; "none" and the services. */
extern const struct conf_name preset_names[];

/* Give the target of these rows the values of a preset. A name that there is not changes nothing: the key's own row
 * refuses it. */
void preset_fill(const struct conf_row *rows, void *target, const char *name);

#endif
