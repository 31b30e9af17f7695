/* CDO configuration fields (http://schemas.microsoft.com/cdo/configuration/) into mailing settings.
 *
 * Lines are read as people have them: "smtpserver = mail.example.org", "smtpserver: …", a line of a script
 * (.Item("http://schemas.microsoft.com/cdo/configuration/smtpserver") = "…"), or with the constant (cdoSMTPServer). */
#ifndef TPN_CDO_H
#define TPN_CDO_H

#include "buf.h"

#include <stdbool.h>
#include <stddef.h>

enum { CDO_VALUE_BYTES = 1024, CDO_SETTINGS = 12, CDO_NOTES_MAX_BYTES = 256 * 1024 };

/* What the fields come to. Zeroed = empty; cdo_fini frees. */
struct cdo_import {
    struct {
        const char *key; /* of profiles.yaml */
        char value[CDO_VALUE_BYTES];
    } settings[CDO_SETTINGS];
    size_t count;
    char name[65];                /* of smtpaccountname, or "" */
    char folder[CDO_VALUE_BYTES]; /* smtpserverpickupdirectory, or "" */
    bool pickup;
    bool has_password;
    struct buf
        notes; /* a line for each field that was ignored or refused, "smtpserver: line 3: …" */
    size_t refused;
};

/* Read all lines; text need not end in NUL. */
void cdo_read(struct cdo_import *import, const char *text, size_t len);
void cdo_fini(struct cdo_import *import);

/* Check the settings as a whole, as the broker would. False with a line in notes. */
bool cdo_check(struct cdo_import *import);

/* A profiles.yaml with this one profile. */
void cdo_write(const struct cdo_import *import, const char *name, struct buf *out);

#endif
