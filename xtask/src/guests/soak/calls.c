/* The soak's program, first part: Linux's calls without a C library, and lines of output. `main.c` says what it does. */

typedef unsigned int u32;
typedef unsigned long long u64;

enum { EXIT = 1, FORK = 2, READ = 3, WRITE = 4, OPEN = 5, CLOSE = 6, LSEEK = 19, KILL = 37, IOCTL = 54, MMAP = 90,
       SOCKETCALL = 102, FDATASYNC = 148, NANOSLEEP = 162, CLOCK_GETTIME = 265 };
enum { O_RDONLY, O_WRONLY, O_RDWR, O_DIRECT = 040000 };
enum { REALTIME = 0, MONOTONIC = 1, RAW = 4 };

struct time {
	u32 secs, ns;
};

static int call(int n, int a, int b, int c)
{
	int r;
	__asm__ volatile("int $0x80" : "=a"(r) : "a"(n), "b"(a), "c"(b), "d"(c) : "memory");
	return r;
}

static void sleep_ms(u32 ms)
{
	struct time t = { ms / 1000, ms % 1000 * 1000000 };
	call(NANOSLEEP, (int)&t, 0, 0);
}

static struct time clock_of(int which)
{
	struct time t = { 0, 0 };
	call(CLOCK_GETTIME, which, (int)&t, 0);
	return t;
}

/* Wraps after seven weeks. */
static u32 milliseconds(void)
{
	struct time t = clock_of(MONOTONIC);
	return t.secs * 1000 + t.ns / 1000000;
}

/* Memory whose pages processes share, where `shared`; a file's from its beginning, where there is one. */
static void *map(u32 bytes, int shared, int fd)
{
	u32 a[6] = { 0, bytes, 3, (shared ? 1 : 2) | (fd < 0 ? 0x20 : 0), (u32)fd, 0 };
	u32 p = (u32)call(MMAP, (int)a, 0, 0);
	return p > 0xfffff000 ? 0 : (void *)p;
}

static u32 number(const char *s)
{
	u32 n = 0;
	while (*s >= '0' && *s <= '9')
		n = n * 10 + (u32)(*s++ - '0');
	return n;
}

static char line[1000];
static u32 used;

static void say(const char *s)
{
	while (*s && used < sizeof line)
		line[used++] = *s++;
}

/* With zeros before it to so many digits. */
static void say_number(u32 n, int wide)
{
	char digits[12];
	int at = 11, all = 11 - wide;
	digits[at] = 0;
	do
		digits[--at] = (char)('0' + n % 10);
	while ((n /= 10) || at > all);
	say(digits + at);
}

/* " NAME=N" */
static void say_count(const char *name, u32 n)
{
	say(" ");
	say(name);
	say("=");
	say_number(n, 0);
}

static void say_time(const char *name, struct time t)
{
	say_count(name, t.secs);
	say(".");
	say_number(t.ns, 9);
}

/* In one piece: the kernel's messages come between lines. */
static void said(void)
{
	if (used == sizeof line)
		used--;
	line[used++] = '\n';
	call(WRITE, 1, (int)line, (int)used);
	used = 0;
}

/* All of a small file, ended by 0. */
static char *text_of(const char *file)
{
	static char text[8192];
	int fd = call(OPEN, (int)file, O_RDONLY, 0), n = 0, got;
	while (fd >= 0 && n < (int)sizeof text - 1 && (got = call(READ, fd, (int)text + n, (int)sizeof text - 1 - n)) > 0)
		n += got;
	call(CLOSE, fd, 0, 0);
	text[n] = 0;
	return text;
}
