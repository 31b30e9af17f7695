/* Gives the files of a corpus to a fuzz target, once each: what a fuzzer has found stays tested where there is none.
 *
 *   fuzz_<parser> FOLDER…
 *
 * Every file goes through memory of exactly its size. A finding ends the program with the file's name as the last
 * line. A folder without files is an error: a test that tests nothing. */
#include "fuzz.h"

#include "mem.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>

enum { MAX_BYTES = 1 << 20 };

static int replay_file(const char *path)
{
    FILE *file = fopen(path, "rb");
    if (file == NULL) {
        perror(path);
        return -1;
    }
    uint8_t *room = mem_zero(MAX_BYTES, 1);
    size_t len = fread(room, 1, MAX_BYTES, file);
    (void)fclose(file);
    uint8_t *exact = mem_copy(room, len);
    free(room);
    printf("%s (%zu bytes)\n", path, len);
    (void)fflush(stdout);
    int result = LLVMFuzzerTestOneInput(exact, len);
    free(exact);
    return result;
}

static bool is_input(const struct dirent *entry)
{
    return entry->d_name[0] != '.';
}

/* Number of files, -1 after an error. */
static int replay_folder(const char *folder)
{
    DIR *dir = opendir(folder);
    if (dir == NULL) {
        perror(folder);
        return -1;
    }
    int count = 0;
    /* One thread only. */
    for (struct dirent *entry = readdir(dir);                 // NOLINT(concurrency-mt-unsafe)
         entry != NULL && count >= 0; entry = readdir(dir)) { // NOLINT(concurrency-mt-unsafe)
        if (is_input(entry)) {
            char *path = mem_format("%s/%s", folder, entry->d_name);
            count = replay_file(path) == 0 ? count + 1 : -1;
            free(path);
        }
    }
    (void)closedir(dir);
    return count;
}

int main(int argc, char *argv[])
{
    bool good = argc > 1;
    for (int i = 1; i < argc; i++) {
        int count = replay_folder(argv[i]);
        printf("%s: %d inputs\n", argv[i], count);
        good = good && count > 0;
    }
    return good ? 0 : 1;
}
