/* Numbers in decimal, from the last digit to the first. */
#include "digits.h"

#include <string.h>

char *digits_put(char *out, uint64_t number, int least)
{
    char digits[DIGITS_MAX];
    int at = DIGITS_MAX;
    do {
        digits[--at] = (char)('0' + number % 10);
        number /= 10;
    } while (number > 0 || DIGITS_MAX - at < least);
    memcpy(out, digits + at, (size_t)(DIGITS_MAX - at));
    return out + (DIGITS_MAX - at);
}
