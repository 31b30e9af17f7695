/* What a value may look like: the forms that the field rules are made of. */
#ifndef TPN_CHECK_FORM_H
#define TPN_CHECK_FORM_H

#include <stddef.h>

/* What a value may look like. */
enum check_form {
    CHECK_NUMBER,  /* integer or bool: 0 (not set) or min..max; max 0 = any */
    CHECK_ENUM,    /* a number that the enum knows */
    CHECK_MESSAGE, /* see set */
    CHECK_BYTES,   /* any bytes, at most max */
    CHECK_LINE,    /* UTF-8 without control characters */
    CHECK_TEXT,    /* UTF-8; of the control characters only tab, CR and LF */
    CHECK_ID, /* letters, digits and . _ : @ + = - : it stands in topics, logs and file names */
    CHECK_HEADER_NAME, /* letters, digits, - and _ */
    CHECK_MEDIA_TYPE,  /* type/subtype, RFC 6838 4.2, no parameters */
    CHECK_CONTENT_ID,  /* visible ASCII without < > ( ) , " and backslash */
    CHECK_URI,         /* mailto: or https:, visible ASCII without < > " and backslash */
    CHECK_FORM_COUNT
};

/* What is told when a text breaks its form: "may only contain letters, …"; "" for forms
 * without a sentence. */
const char *check_form_text(enum check_form form);

/* Why the len bytes of a text break its form; null when they do not. An empty text breaks MEDIA_TYPE and URI: ask for
 * what is given only. The forms that are no text are never broken. Borrowed for ever. */
const char *check_form_fault(enum check_form form, const void *text, size_t len);

#endif
