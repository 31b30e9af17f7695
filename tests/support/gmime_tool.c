/* Reads mails with GMime, for tests in other languages.
 *
 * stdin:  length (4 bytes, big-endian) and a mail, repeated
 * stdout: a JSON line for each:
 *
 *   {"subject": "…", "from": [["name", "address"] …], "to": …, "cc": …, "reply_to": …, "sender": …,
 *    "parts": [{"type": "text/plain", "disposition": "", "name": "", "id": "", "data": "BASE64"} …], "defects": ["…"]}
 *
 * parts are the leaves in their order; defects are the warnings of GMime's parser. */
#include <gmime/gmime.h>

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_BYTES = 64 * 1024 * 1024 };

struct output {
    GString *json;
    GString *defects;
    unsigned parts;
};

static void add_string(GString *out, const char *text)
{
    g_string_append_c(out, '"');
    for (const char *c = text != NULL ? text : ""; *c != '\0'; c++) {
        if (*c == '"' || *c == '\\') {
            g_string_append_c(out, '\\');
            g_string_append_c(out, *c);
        } else if ((unsigned char)*c < 0x20) {
            g_string_append_printf(out, "\\u%04x", *c);
        } else {
            g_string_append_c(out, *c);
        }
    }
    g_string_append_c(out, '"');
}

static void add_member(GString *out, const char *name, const char *text)
{
    add_string(out, name);
    g_string_append(out, ": ");
    add_string(out, text);
}

static void add_list(GString *out, const char *name, InternetAddressList *list)
{
    int count = list != NULL ? internet_address_list_length(list) : 0;
    add_string(out, name);
    g_string_append(out, ": [");
    for (int i = 0; i < count; i++) {
        InternetAddress *address = internet_address_list_get_address(list, i);
        g_string_append(out, i > 0 ? ", [" : "[");
        add_string(out, internet_address_get_name(address));
        g_string_append(out, ", ");
        add_string(out,
                   INTERNET_ADDRESS_IS_MAILBOX(address)
                       ? internet_address_mailbox_get_addr(INTERNET_ADDRESS_MAILBOX(address))
                       : "group");
        g_string_append_c(out, ']');
    }
    g_string_append(out, "], ");
}

static void on_warning(gint64 offset, GMimeParserWarning code, const gchar *item, gpointer arg)
{
    GString *defects = arg;
    char text[128];
    (void)g_snprintf(text, sizeof text, "%d at %ld: %.80s", (int)code, (long)offset,
                     item != NULL ? item : "");
    g_string_append(defects, defects->len > 0 ? ", " : "");
    add_string(defects, text);
}

static void add_content(GString *out, GMimePart *part)
{
    GMimeStream *memory = g_mime_stream_mem_new();
    GMimeDataWrapper *content = g_mime_part_get_content(part);
    if (content != NULL) {
        (void)g_mime_data_wrapper_write_to_stream(content, memory);
    }
    GByteArray *bytes = g_mime_stream_mem_get_byte_array(GMIME_STREAM_MEM(memory));
    char *text = g_base64_encode(bytes->data, bytes->len);
    add_member(out, "data", text);
    g_free(text);
    g_object_unref(memory);
}

static void add_part(GMimeObject *parent, GMimeObject *object, gpointer arg)
{
    struct output *out = arg;
    (void)parent;
    if (!GMIME_IS_PART(object)) {
        return;
    }
    GMimePart *part = GMIME_PART(object);
    char *type = g_mime_content_type_get_mime_type(g_mime_object_get_content_type(object));
    g_string_append(out->json, out->parts++ > 0 ? ", {" : "{");
    add_member(out->json, "type", type);
    g_string_append(out->json, ", ");
    add_member(out->json, "disposition", g_mime_object_get_disposition(object));
    g_string_append(out->json, ", ");
    add_member(out->json, "name", g_mime_part_get_filename(part));
    g_string_append(out->json, ", ");
    add_member(out->json, "id", g_mime_object_get_content_id(object));
    g_string_append(out->json, ", ");
    add_content(out->json, part);
    g_string_append_c(out->json, '}');
    g_free(type);
}

static void read_mail(const char *data, size_t len)
{
    struct output out = {.json = g_string_new("{"), .defects = g_string_new("")};
    GMimeStream *stream = g_mime_stream_mem_new_with_buffer(data, len);
    GMimeParser *parser = g_mime_parser_new_with_stream(stream);
    GMimeParserOptions *options = g_mime_parser_options_new();
    g_mime_parser_options_set_warning_callback(options, on_warning, out.defects);
    GMimeMessage *message = g_mime_parser_construct_message(parser, options);
    if (message == NULL) {
        (void)puts("{\"defects\": [\"no message\"]}");
    } else {
        add_member(out.json, "subject", g_mime_message_get_subject(message));
        g_string_append(out.json, ", ");
        add_list(out.json, "from", g_mime_message_get_from(message));
        add_list(out.json, "sender", g_mime_message_get_sender(message));
        add_list(out.json, "reply_to", g_mime_message_get_reply_to(message));
        add_list(out.json, "to", g_mime_message_get_to(message));
        add_list(out.json, "cc", g_mime_message_get_cc(message));
        g_string_append(out.json, "\"parts\": [");
        GMimeObject *top = g_mime_message_get_mime_part(message);
        if (GMIME_IS_MULTIPART(top)) {
            g_mime_multipart_foreach(GMIME_MULTIPART(top), add_part, &out);
        } else {
            add_part(NULL, top, &out);
        }
        (void)printf("%s], \"defects\": [%s]}\n", out.json->str, out.defects->str);
        g_object_unref(message);
    }
    (void)fflush(stdout);
    g_mime_parser_options_free(options);
    g_object_unref(parser);
    g_object_unref(stream);
    (void)g_string_free(out.json, TRUE);
    (void)g_string_free(out.defects, TRUE);
}

int main(void)
{
    uint8_t head[4];
    g_mime_init();
    while (fread(head, 1, sizeof head, stdin) == sizeof head) {
        size_t len =
            (size_t)head[0] << 24 | (size_t)head[1] << 16 | (size_t)head[2] << 8 | head[3];
        char *data = len <= MAX_BYTES ? malloc(len + 1) : NULL;
        if (data == NULL || fread(data, 1, len, stdin) != len) {
            free(data);
            return 1;
        }
        read_mail(data, len);
        free(data);
    }
    g_mime_shutdown();
    return 0;
}
