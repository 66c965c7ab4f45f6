/* Plain 32-bit code: calls and returns, tables, compares through a pointer, memory, indirect calls. */
#include <string.h>

#include "bench.h"

/* Calls and returns. */

static NOINLINE uint32_t fib(uint32_t n)
{
    return n < 2 ? n : fib(n - 1) + fib(n - 2);
}

static uint32_t fib_round(void)
{
    return fib(31);
}

/* Table CRC-32, a byte at a time. */

static uint32_t crc_table[256];

uint32_t crc32_of(uint32_t crc, const void *data, size_t n)
{
    if (!crc_table[1])
        for (uint32_t i = 0; i < 256; i++) {
            uint32_t c = i;
            for (int k = 0; k < 8; k++)
                c = c & 1 ? c >> 1 ^ 0xedb88320u : c >> 1;
            crc_table[i] = c;
        }
    const uint8_t *p = data;
    crc = ~crc;
    while (n--)
        crc = crc >> 8 ^ crc_table[(crc ^ *p++) & 0xff];
    return ~crc;
}

enum { CRC_BYTES = 1 << 20 };
static uint8_t *crc_data;

static void crc_prepare(void)
{
    uint32_t seed = 2;
    crc_data = memory(CRC_BYTES);
    for (size_t i = 0; i < CRC_BYTES; i++)
        crc_data[i] = next_random(&seed);
}

static uint32_t crc_round(void)
{
    return crc32_of(0, crc_data, CRC_BYTES) + crc32_of(1, crc_data, CRC_BYTES);
}

/* Quicksort of integers, comparing through a pointer as qsort() does; our own, since the C library's chooses its
   copying code by what the processor can do. */

enum { SORTED = 1500000 };
static int32_t *sort_from, *sort_in;

static NOINLINE int compare(const void *a, const void *b)
{
    int32_t x = *(const int32_t *)a, y = *(const int32_t *)b;
    return (x > y) - (x < y);
}

static NOINLINE void sort(int32_t *a, size_t n, int (*cmp)(const void *, const void *))
{
    while (n > 12) {
        int32_t pivot = a[n / 2];
        size_t i = 0, j = n - 1;
        for (;;) {
            while (cmp(&a[i], &pivot) < 0)
                i++;
            while (cmp(&a[j], &pivot) > 0)
                j--;
            if (i >= j)
                break;
            int32_t t = a[i];
            a[i++] = a[j];
            a[j--] = t;
        }
        size_t left = j + 1;
        /* The shorter part by a call, the longer one by going round. */
        if (left < n - left) {
            sort(a, left, cmp);
            a += left;
            n -= left;
        } else {
            sort(a + left, n - left, cmp);
            n = left;
        }
    }
    for (size_t i = 1; i < n; i++)
        for (size_t j = i; j > 0 && cmp(&a[j - 1], &a[j]) > 0; j--) {
            int32_t t = a[j];
            a[j] = a[j - 1];
            a[j - 1] = t;
        }
}

static void sort_prepare(void)
{
    uint32_t seed = 3;
    sort_from = memory(SORTED * sizeof *sort_from);
    sort_in = memory(SORTED * sizeof *sort_in);
    for (size_t i = 0; i < SORTED; i++)
        sort_from[i] = next_random(&seed) - 0x800000;
}

static uint32_t sort_round(void)
{
    for (size_t i = 0; i < SORTED; i++)
        sort_in[i] = sort_from[i];
    sort(sort_in, SORTED, compare);
    uint32_t sum = 0;
    for (size_t i = 1; i < SORTED; i++)
        sum = sum * 31 + sort_in[i] + (sort_in[i - 1] > sort_in[i]) * 1000;
    return sum;
}

/* Sieve of Eratosthenes, a byte a number: more memory than caches hold. */

enum { SIEVED = 24000000 };
static uint8_t *composite;

static void sieve_prepare(void)
{
    composite = memory(SIEVED);
}

static uint32_t sieve_round(void)
{
    for (uint32_t i = 0; i < SIEVED; i += 4)
        *(volatile uint32_t *)(composite + i) = 0;
    for (uint32_t i = 3; i * i < SIEVED; i += 2)
        if (!composite[i])
            for (uint32_t j = i * i; j < SIEVED; j += 2 * i)
                composite[j] = 1;
    uint32_t primes = 1;
    for (uint32_t i = 3; i < SIEVED; i += 2)
        primes += !composite[i];
    return primes;
}

/* Indirect calls: objects of eight kinds in an order that repeats after 512, as a list of windows or nodes is walked. */

typedef uint32_t (*method)(uint32_t);
#define METHOD(name, how) static NOINLINE uint32_t name(uint32_t x) { return how; }
METHOD(add, x + 0x9e3779b9u)
METHOD(mix, x ^ x >> 15)
METHOD(mul, x * 2246822519u)
METHOD(rot, x << 7 | x >> 25)
METHOD(sub, x - 12345)
METHOD(inv, ~x)
METHOD(swp, __builtin_bswap32(x))
METHOD(odd, x & 1 ? x * 3 + 1 : x >> 1 ^ 0x5bd1e995u)

enum { OBJECTS = 512 };
static method methods[OBJECTS];

static void indirect_prepare(void)
{
    static const method kinds[8] = { add, mix, mul, rot, sub, inv, swp, odd };
    uint32_t seed = 5;
    for (size_t i = 0; i < OBJECTS; i++)
        methods[i] = kinds[next_random(&seed) & 7];
}

static uint32_t indirect_round(void)
{
    uint32_t x = 1;
    for (int n = 0; n < 4000; n++)
        for (size_t i = 0; i < OBJECTS; i++)
            x = methods[i](x);
    return x;
}

const struct line integer_lines[] = {
    { "fib", 20, NULL, fib_round, NULL },
    { "crc32", 20, crc_prepare, crc_round, NULL },
    { "qsort", 1, sort_prepare, sort_round, NULL },
    { "sieve", 3, sieve_prepare, sieve_round, NULL },
    { "indirect", 20, indirect_prepare, indirect_round, NULL },
    { 0 },
};
