/* HTML to text: what a reader without HTML sees. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "html.h"
#include "mem.h"

#include <stdlib.h>

struct row {
    const char *name;
    const char *html;
    const char *wanted;
};

static const struct row rows[] = {
    {"empty", "", ""},
    {"plain", "a b", "a b"},
    {"white space collapses", "  a \n\t b  ", "a b"},
    {"tags vanish", "a<b>b</b><i class='x'>c</i>", "abc"},
    {"br", "a<br>b<BR/>c<br />d", "a\nb\nc\nd"},
    {"two br", "a<br><br>b", "a\n\nb"},
    {"many br", "a<br><br><br><p></p>b", "a\n\nb"},
    {"paragraphs", "<p>a</p>\n<p>b</p>", "a\n\nb"},
    {"divs", "<div>a</div><div>b</div>", "a\nb"},
    {"list", "<ul><li>a</li><li>b</li></ul>c", "- a\n- b\nc"},
    {"table",
     "<table><tr><th>Item</th><th>Due</th></tr><tr><td>1</td><td>May</td></tr></table>",
     "Item Due\n1 May"},
    {"references", "&lt;a&gt; &amp;amp; &quot;&#39;&#x41;&#66;&nbsp;&euro;&auml;",
     "<a> &amp; \"'AB \xe2\x82\xac\xc3\xa4"},
    {"unknown reference", "&foo; & &; &#; &#x; AT&T", "&foo; & &; &#; &#x; AT&T"},
    {"reference beyond Unicode", "&#1114112;&#xD800;&#0;",
     "\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd"},
    {"reference that is a control byte", "a&#13;&#10;b", "a  b"},
    {"number that is none", "&#12x;", "&#12x;"},
    {"script, style, title", "<title>t</title><style>p{}</style>a<script>if(a<b)</script>b",
     "ab"},
    {"script without an end", "a<script>b", "a"},
    {"comment", "a<!-- <p>x</p> -->b", "ab"},
    {"comment without an end", "a<!-- b", "a"},
    {"doctype", "<!DOCTYPE html><html><body>a</body></html>", "a"},
    {"'<' that is no tag", "1 < 2 <3 a<", "1 < 2 <3 a<"},
    {"tag without an end", "a <b c", "a <b c"},
    {"'>' in an attribute", "<a title=\"x>y\">b</a>", "b"},
    {"quote that does not close", "<a title=\"x>b</a>", "b"},
    {"link", "<a href=\"https://x.test/?a=1&amp;b=2\">See</a> it",
     "See <https://x.test/?a=1&b=2> it"},
    {"link shown as it is", "<a href='https://x.test/'>https://x.test/</a>", "https://x.test/"},
    {"script link", "<a href=\"javascript:x\">See</a>", "See"},
    {"UTF-8", "<p>M\xc3\xa4rz</p>", "M\xc3\xa4rz"},
};

static void test_rows(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct buf out;
        buf_init(&out, 4096);
        html_to_text(&out, rows[i].html, strlen(rows[i].html));
        if (strcmp(buf_text(&out), rows[i].wanted) != 0) {
            fail_msg("%s: <%s>", rows[i].name, buf_text(&out));
        }
        buf_fini(&out);
    }
}

/* Input that makes a careless search start again at every byte; the time limit of ctest is the judge. */
static void test_hostile(void **state)
{
    (void)state;
    static const char *const pieces[] = {"<",  "<a \"", "<a b='", "<!--",       "<script>",
                                         "</", "&",     "&#",     "<a href=\"", "<p<"};
    enum { BYTES = 1024 * 1024 };
    for (size_t i = 0; i < sizeof pieces / sizeof pieces[0]; i++) {
        size_t len = strlen(pieces[i]);
        char *html = mem_zero(BYTES + 16, 1);
        size_t used = 0;
        for (; used + len < BYTES; used += len) {
            memcpy(html + used, pieces[i], len);
        }
        struct buf out;
        buf_init(&out, (size_t)2 * BYTES);
        html_to_text(&out, html, used);
        assert_int_equal(buf_status(&out), ERR_OK);
        buf_fini(&out);
        free(html);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_rows),
        cmocka_unit_test(test_hostile),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
