/* CDO fields: any bytes end; what is refused is told; a profile that is written can be read.
 *
 * Input: the lines. */
#include "fuzz.h"

#include "cdo.h"
#include "text.h"

#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct cdo_import import = {.count = 0};
    struct buf out;
    buf_init(&out, 1024 * 1024);
    cdo_read(&import, (const char *)data, size);
    bool good = import.refused == 0 && cdo_check(&import);
    demand(good || import.notes.len > 0, "refused without a word");
    for (size_t i = 0; i < import.count; i++) {
        demand(strlen(import.settings[i].value) < CDO_VALUE_BYTES, "a long value");
        demand(text_check(import.settings[i].value, strlen(import.settings[i].value),
                          TEXT_LINE) == TEXT_OK,
               "a value that is no line of text: %s", import.settings[i].key);
    }
    if (good) {
        cdo_write(&import, "fuzz", &out);
        demand(buf_status(&out) == ERR_OK && out.len > 0, "a profile that is not written");
        demand(memchr(buf_text(&out), 0, out.len) == NULL, "NUL in a profile");
    }
    buf_fini(&out);
    cdo_fini(&import);
    return 0;
}
