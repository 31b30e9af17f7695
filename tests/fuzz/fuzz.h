/* What the fuzz targets share. A target is one file, fuzz_<parser>.c, with one function; libFuzzer calls it with inputs
 * of its own making, replay.c with the files of corpus/<parser>. */
#ifndef TPN_FUZZ_H
#define TPN_FUZZ_H

#include "err.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* The target. Returns 0; a finding ends the program. Source: llvm.org/docs/LibFuzzer.html. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* A promise of the code under test; broken, it is a finding. */
#define demand(condition, ...)                                                                 \
    ((condition) ? (void)0 : err_bug(__FILE__, __LINE__, __VA_ARGS__))

/* The bytes as a text, cut at the first NUL, in memory of exactly that size, so that a read past the end is seen.
 * The caller frees it. */
char *fuzz_text(const uint8_t *data, size_t size);

/* Promises of everything that goes to a mail server: CRLF only, no NUL, no line that begins with '.', lines of at most
 * longest bytes, and 7-bit unless utf8. */
struct fuzz_lines {
    size_t longest;
    bool utf8;
};
void fuzz_demand_lines(const char *data, size_t len, const struct fuzz_lines *wanted);

/* A file in memory for readers that want a path; room for it in path; returns the descriptor to close. */
enum { FUZZ_PATH_BYTES = 32 };
int fuzz_file(const uint8_t *data, size_t size, char path[FUZZ_PATH_BYTES]);

#endif
