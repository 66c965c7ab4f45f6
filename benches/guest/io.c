/* A disk and a network, past the guest's caches. The disk's first part is read, its second part written; who is at the
 * other end of the network is in the environment: server=ADDRESS, down=PORT sends without end, up=PORT takes pieces and
 * answers each with a byte. */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "bench.h"

enum { PIECE = 1 << 20, PART = 64, PAGE = 4096, TCP_PIECES = 4 };

static uint8_t *buffer;
static int file;

static uint32_t words(const uint8_t *b, size_t n)
{
    const uint32_t *w = (const uint32_t *)b;
    uint32_t sum = 0;
    for (size_t i = 0; i < n / 4; i++)
        sum = sum * 5 + w[i];
    return sum;
}

static void disk_prepare(void)
{
    file = open("/dev/sda", O_RDWR | O_DIRECT);
    if (file < 0)
        die("/dev/sda");
    buffer = memory(PIECE);
    for (size_t i = 0; i < PIECE; i++)
        buffer[i] = i * 7 >> 3;
}

static uint32_t read_at(size_t n, off_t at)
{
    if (pread(file, buffer, n, at) != (ssize_t)n)
        die("/dev/sda");
    return words(buffer, n);
}

static uint32_t read_round(void)
{
    uint32_t sum = 0;
    for (int i = 0; i < PART; i++)
        sum = sum * 3 + read_at(PIECE, (off_t)i * PIECE);
    return sum;
}

/* No two of them lie side by side. */
static off_t scattered(uint32_t *seed)
{
    return (off_t)(next_random(seed) % (PART * (PIECE / PAGE))) * PAGE;
}

static uint32_t random_read_round(void)
{
    uint32_t sum = 0, seed = 11;
    for (int i = 0; i < 250; i++)
        sum = sum * 3 + read_at(PAGE, scattered(&seed));
    return sum;
}

static void write_at(size_t n, off_t at)
{
    if (pwrite(file, buffer, n, at + (off_t)PART * PIECE) != (ssize_t)n)
        die("/dev/sda");
}

static uint32_t write_round(void)
{
    for (int i = 0; i < PART / 2; i++)
        write_at(PIECE, (off_t)i * PIECE);
    return PART / 2;
}

static uint32_t random_write_round(void)
{
    uint32_t seed = 13;
    for (int i = 0; i < 250; i++)
        write_at(PAGE, scattered(&seed));
    return 250;
}

static void connect_to(const char *port)
{
    const char *server = getenv("server"), *number = getenv(port);
    struct sockaddr_in to = { .sin_family = AF_INET, .sin_port = htons(number ? atoi(number) : 0) };
    if (!server || !inet_aton(server, &to.sin_addr))
        die("no server=ADDRESS in the environment");
    file = socket(AF_INET, SOCK_STREAM, 0);
    if (file < 0 || connect(file, (struct sockaddr *)&to, sizeof to))
        die(port);
    buffer = memory(PIECE);
    memset(buffer, 0x5a, PIECE);
}

static void down_prepare(void)
{
    connect_to("down");
}

static void up_prepare(void)
{
    connect_to("up");
}

/* Each piece is the same. */
static uint32_t down_round(void)
{
    uint32_t sum = 0;
    for (int i = 0; i < TCP_PIECES; i++) {
        for (size_t n = 0; n < PIECE;) {
            ssize_t got = recv(file, buffer + n, PIECE - n, 0);
            if (got <= 0)
                die("recv");
            n += got;
        }
        sum = sum * 3 + words(buffer, PIECE);
    }
    return sum;
}

static uint32_t up_round(void)
{
    uint8_t answer;
    for (int i = 0; i < TCP_PIECES; i++)
        for (size_t n = 0; n < PIECE;) {
            ssize_t put = send(file, buffer + n, PIECE - n, 0);
            if (put <= 0)
                die("send");
            n += put;
        }
    /* The last byte has arrived when that is said. */
    if (recv(file, &answer, 1, 0) != 1)
        die("recv");
    return answer;
}

/* One byte there, one byte back. */
static void turn_prepare(void)
{
    int on = 1;
    connect_to("turn");
    setsockopt(file, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
}

static uint32_t turn_round(void)
{
    uint32_t sum = 0;
    for (int i = 0; i < 100; i++) {
        uint8_t b = i;
        if (send(file, &b, 1, 0) != 1 || recv(file, &b, 1, 0) != 1)
            die("the other end");
        sum += b;
    }
    return sum;
}

static void hang_up(void)
{
    close(file);
}

const struct line io_lines[] = {
    { "disk-read", 8, disk_prepare, read_round, hang_up },
    { "disk-random-read", 20, disk_prepare, random_read_round, hang_up },
    { "disk-write", 8, disk_prepare, write_round, hang_up },
    { "disk-random-write", 20, disk_prepare, random_write_round, hang_up },
    { "tcp-down", 50, down_prepare, down_round, hang_up },
    { "tcp-up", 50, up_prepare, up_round, hang_up },
    { "tcp-turn", 20, turn_prepare, turn_round, hang_up },
    { 0 },
};
