/* Code that is written and run at once, as a compiler in the guest does, or a program that patches itself. */
#include <sys/mman.h>

#include "bench.h"

enum { TIMES = 10000, SLOT = 64, BATCH = 100 };

static uint8_t *code;

static void prepare(void)
{
    code = mmap(NULL, TIMES * SLOT, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE,
                -1, 0);
    if (code == MAP_FAILED)
        die("mmap");
}

/* lea number(%eax,%eax,2), %eax; ret. */
static inline void write_code(uint8_t *p, uint32_t number)
{
    *(volatile uint32_t *)p = 0x0040848d | number << 24;
    *(volatile uint32_t *)(p + 4) = 0xc3000000 | number >> 8;
}

static inline uint32_t run_code(uint8_t *p, uint32_t x)
{
    __asm__ volatile("call *%1" : "+a"(x) : "r"(p) : "memory", "cc");
    return x;
}

/* Functions in new places, run once each: a hundred are written, then they run. */
static uint32_t new_round(void)
{
    uint32_t x = 1;
    for (uint32_t i = 0; i < TIMES; i += BATCH) {
        for (uint32_t k = i; k < i + BATCH; k++)
            write_code(code + k * SLOT, k);
        for (uint32_t k = i; k < i + BATCH; k++)
            x = run_code(code + k * SLOT, x);
    }
    return x;
}

/* Each is written and runs before the next, in the same few places: the real processor, too, has to throw away what
   it fetched. */
static uint32_t patched_round(void)
{
    uint32_t x = 1;
    for (uint32_t i = 0; i < TIMES; i++) {
        uint8_t *p = code + (i & 7) * SLOT;
        write_code(p, i);
        x = run_code(p, x);
    }
    return x;
}

const struct line selfcode_lines[] = {
    { "new-code", 30, prepare, new_round, NULL },
    { "patched-code", 30, prepare, patched_round, NULL },
    { 0 },
};
