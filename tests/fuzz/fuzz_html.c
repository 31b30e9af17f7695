/* HTML to text: any bytes, and never much more of them than came.
 *
 * Input: an HTML body. */
#include "fuzz.h"

#include "buf.h"
#include "html.h"
#include "text.h"

#include <string.h>

enum { OUT_MAX_BYTES = 1 << 24, GROWTH = 8, START = 1024 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct buf out;
    buf_init(&out, OUT_MAX_BYTES);
    html_to_text(&out, (const char *)data, size);
    demand(buf_status(&out) == ERR_OK, "does not fit");
    demand(out.len <= GROWTH * size + START, "%zu bytes become %zu", size, out.len);
    if (text_check(data, size, TEXT_BODY) == TEXT_OK) {
        demand(text_check(buf_text(&out), out.len, TEXT_BODY) == TEXT_OK,
               "a text becomes none");
    }
    demand(out.len == 0 || memchr(buf_text(&out), '\r', out.len) == NULL, "a CR");
    buf_fini(&out);
    return 0;
}
