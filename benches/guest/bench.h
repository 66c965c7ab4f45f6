/* The benchmark program of `cargo xtask bench`: what its files share. */
#ifndef BENCH_H
#define BENCH_H

#include <stddef.h>
#include <stdint.h>

/* One line of the benchmark. Every round does the same work and gives the same sum, so that a run may stop early:
   the harness scales the time to all rounds, and sums can be compared whatever the number of rounds. */
struct line {
    const char *name;
    unsigned rounds;            /* about 0.1 to 0.3 s on a host of 2023 */
    void (*prepare)(void);      /* not timed; may be NULL */
    uint32_t (*round)(void);
    void (*finish)(void);       /* not timed; may print " name=value"; may be NULL */
};

extern const struct line integer_lines[], string_lines[], float_lines[], kernel_lines[], selfcode_lines[],
    interrupt_lines[], io_lines[];

/* Ends the program with a message and errno's text. */
void die(const char *what) __attribute__((noreturn));
/* Memory whose pages are there. */
void *memory(size_t bytes);
/* Stays on the processor it is on: two processes that take turns shall do so on a host with several, too. */
void stay_here(void);
/* A generator of our own: the same numbers everywhere. */
uint32_t next_random(uint32_t *state);
uint32_t crc32_of(uint32_t crc, const void *data, size_t n);

#define NOINLINE __attribute__((noinline, noclone))

#endif
