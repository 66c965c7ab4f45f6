/* The processor's string instructions: what 32-bit C libraries and kernels copy, fill and search with. */
#include "bench.h"

static void movsb(void *to, const void *from, size_t n)
{
    __asm__ volatile("rep movsb" : "+D"(to), "+S"(from), "+c"(n) : : "memory");
}

static void movsd(void *to, const void *from, size_t n)
{
    __asm__ volatile("rep movsl" : "+D"(to), "+S"(from), "+c"(n) : : "memory");
}

static void stosd(void *to, uint32_t value, size_t n)
{
    __asm__ volatile("rep stosl" : "+D"(to), "+c"(n) : "a"(value) : "memory");
}

/* The offset of a byte that is there. */
static size_t scasb(const void *in, uint8_t byte, size_t n)
{
    const void *end = in;
    __asm__ volatile("repne scasb" : "+D"(end), "+c"(n) : "a"(byte) : "memory", "cc");
    return (const uint8_t *)end - (const uint8_t *)in - 1;
}

enum { BYTES = 256 << 10 };
static uint8_t *a, *b;

static void prepare(void)
{
    uint32_t seed = 4;
    a = memory(BYTES);
    b = memory(BYTES);
    for (size_t i = 0; i < BYTES; i++)
        a[i] = next_random(&seed) | 1;      /* no byte is 0 */
}

/* Pages and large buffers. */
static uint32_t copy_round(void)
{
    for (int n = 0; n < 250; n++) {
        movsd(b, a, BYTES / 8);
        movsb(b + BYTES / 2 + 1, a + 3, 40001);
        stosd(b + BYTES / 2 + (64 << 10), n, 4096);
    }
    return crc32_of(0, b, BYTES);
}

/* Structures and short strings. */
static uint32_t short_round(void)
{
    for (int n = 0; n < 300; n++)
        for (size_t i = 0; i < 100; i++) {
            movsd(b + i * 256, a + i * 192 + n, 11);
            movsb(b + i * 256 + 44, a + i * 64 + n, 1 + (i & 31));
            stosd(b + i * 256 + 128, n, 9);
        }
    return crc32_of(0, b, 32 << 10);
}

/* Zeros at distances of a line to a few pages. */
static uint32_t search_round(void)
{
    static const size_t zeros[] = { 61, 200, 1000, 4099, 16001 };
    uint32_t sum = 0;
    for (int n = 0; n < 40; n++)
        for (size_t i = 0; i < sizeof zeros / sizeof *zeros; i++) {
            uint8_t *p = a + n * 5 + i, keep = p[zeros[i]];
            p[zeros[i]] = 0;
            for (int k = 0; k < 5; k++)
                sum = sum * 31 + scasb(p + k, 0, BYTES);
            p[zeros[i]] = keep;
        }
    return sum;
}

const struct line string_lines[] = {
    { "memcpy", 100, prepare, copy_round, NULL },
    { "memcpy-short", 100, prepare, short_round, NULL },
    { "memchr", 150, prepare, search_round, NULL },
    { 0 },
};
