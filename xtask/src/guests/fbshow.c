/*
 * Sets a mode of /dev/fb0, fills its memory with doublewords of which number n is n * 9E3779B9h, and says what the driver
 * made of it; without a C library.
 *
 *   fbshow WIDTH HEIGHT BITS GREEN NONSTD PIXCLOCK LEFT RIGHT UPPER LOWER HSYNC VSYNC SYNC VMODE
 *   fbshow text ...    the same for the console to draw on
 *   fbshow tall ...    a screen twice as high as what shows
 *   fbshow pan Y       line Y shows first
 *   fbshow engine      a picture by the drawing engine, as XFree86's driver has it, for a screen of 1024x768 at 16 bits
 *
 *   fbshow scroll S    scrolls all of the screen by sixteen lines for S seconds; prints "scrolled N in MS"
 *
 * Prints "mode WIDTHxHEIGHTxBITS line=BYTES type=N", or "refused by N" with the error.
 */

typedef unsigned int u32;

enum { EXIT = 1, WRITE = 4, OPEN = 5, IOCTL = 54, GETTIMEOFDAY = 78, MMAP = 90, IOPL = 110 };
enum { GET_VAR = 0x4600, PUT_VAR = 0x4601, GET_FIX = 0x4602, PUT_CMAP = 0x4605, PAN = 0x4606, KDSETMODE = 0x4b3a };

/* Words of struct fb_var_screeninfo. */
enum {
	XRES, YRES, XRES_VIRTUAL, YRES_VIRTUAL, XOFFSET, YOFFSET, BITS, GREEN_LENGTH = 12, NONSTD = 20, ACTIVATE,
	PIXCLOCK = 25, VMODE = 33, VAR_WORDS = 40
};

static int call(int n, int a, int b, void *c)
{
	int r;
	__asm__ volatile("int $0x80" : "=a"(r) : "a"(n), "b"(a), "c"(b), "d"(c) : "memory");
	return r;
}

static int same(const char *a, const char *b)
{
	while (*a && *a == *b)
		a++, b++;
	return *a == *b;
}

static u32 number(const char *s)
{
	u32 n = 0;
	while (*s >= '0' && *s <= '9')
		n = n * 10 + (u32)(*s++ - '0');
	return n;
}

static char line[200];
static u32 used;

static void say(const char *s)
{
	while (*s)
		line[used++] = *s++;
}

static void say_number(u32 n)
{
	char digits[11];
	int at = 10;
	digits[at] = 0;
	do
		digits[--at] = (char)('0' + n % 10);
	while (n /= 10);
	say(digits + at);
}

static void said(void)
{
	say("\n");
	call(WRITE, 1, (int)line, (void *)used);
}

static int refused(int e)
{
	say("refused by ");
	say_number((u32)-e);
	said();
	return 1;
}

static void colours(int fd, u32 n)
{
	static unsigned short r[256], g[256], b[256];
	struct { u32 start, len; unsigned short *r, *g, *b, *transp; } map = { 0, n, r, g, b, 0 };
	u32 i;
	for (i = 0; i < n; i++) {
		u32 v = i * 255 / (n - 1);
		r[i] = (unsigned short)(v * 257);
		g[i] = (unsigned short)((v * 7 & 255) * 257);
		b[i] = (unsigned short)((255 - v) * 257);
	}
	call(IOCTL, fd, PUT_CMAP, &map);
}

static void out(int port, u32 v)
{
	__asm__ volatile("outw %w0, %w1" : : "a"(v), "d"(port));
}

static u32 in(int port)
{
	unsigned short v;
	__asm__ volatile("inw %w1, %w0" : "=a"(v) : "d"(port));
	return v;
}

static void send(const void *p, u32 words)
{
	__asm__ volatile("cld; rep outsw" : "+S"(p), "+c"(words) : "d"(0xe2e8) : "memory");
}

/* Eight slots of the queue, or all of it and the engine done. */
static void wait_queue(void)
{
	while (in(0x9ae8) & 0xff)
		;
}

static void wait_idle(void)
{
	while (in(0x9ae8) & 0x200)
		;
}

enum { CUR_Y = 0x82e8, CUR_X = 0x86e8, DEST_Y = 0x8ae8, DEST_X = 0x8ee8, ERR = 0x92e8, MAJOR = 0x96e8, CMD = 0x9ae8,
       BACK = 0xa2e8, FORE = 0xa6e8, WRITE_MASK = 0xaae8, BACK_MIX = 0xb6e8, FORE_MIX = 0xbae8, MULTI = 0xbee8 };

static void area(u32 x, u32 y, u32 w, u32 h)
{
	wait_queue();
	out(CUR_X, x);
	out(CUR_Y, y);
	out(MAJOR, w - 1);
	out(MULTI, h - 1);
}

static void draw_line(int x, int y, int dx, int dy)
{
	int w = dx < 0 ? -dx : dx, h = dy < 0 ? -dy : dy, major = w > h ? w : h, minor = w > h ? h : w;
	wait_queue();
	out(CUR_X, (u32)x);
	out(CUR_Y, (u32)y);
	out(DEST_Y, (u32)(2 * minor));
	out(DEST_X, (u32)(2 * (minor - major)));
	out(ERR, (u32)(2 * minor - major));
	out(MAJOR, (u32)major);
	wait_queue();
	out(CMD, 0x2011u | (dx > 0 ? 0x20u : 0) | (h > w ? 0x40u : 0) | (dy > 0 ? 0x80u : 0));
}

static int engine(void)
{
	static unsigned short image[64 * 64];
	static const unsigned char glyph[6] = { 0xf0, 0x99, 0x3c, 0x81, 0xc7, 0 };
	int i, e = call(IOPL, 3, 0, 0);

	if (e < 0)
		return refused(e);
	out(0x3d4, 0x4838);
	out(0x3d4, 0xa539);
	out(0x3d4, 0x1050);
	out(0x3d4, 0x0140);
	out(0x42e8, 0x9000);
	out(0x42e8, 0x5000);
	out(0x4ae8, 7);
	out(WRITE_MASK, 0xffff);
	out(MULTI, 0x1000);
	out(MULTI, 0x2000);
	out(MULTI, 0x3fff);
	out(MULTI, 0x4fff);
	out(MULTI, 0xa000);
	out(MULTI, 0xe000);
	out(FORE_MIX, 0x27);
	out(FORE, 0);
	area(0, 0, 1024, 768);
	out(CMD, 0x40b1);
	for (i = 0; i < 32; i++) {
		out(FORE, (u32)i * 2049);
		area((u32)i * 28, (u32)i * 21, 100, 60);
		out(CMD, 0x40b1);
	}
	out(FORE_MIX, 0x25);
	out(FORE, 0x07e0);
	area(200, 100, 400, 300);
	out(CMD, 0x40b1);
	/* Down and to the right: from the far corner. */
	out(FORE_MIX, 0x67);
	area(511, 383, 512, 384);
	out(DEST_X, 511 + 200);
	out(DEST_Y, 383 + 150);
	out(CMD, 0xc011);
	out(FORE_MIX, 0x27);
	for (i = 0; i < 32; i++) {
		out(FORE, 0xffff - (u32)i * 1031);
		draw_line(512, 384, i * 32 - 500, i & 1 ? 300 - i * 7 : i * 7 - 300);
	}
	for (i = 0; i < 64 * 64; i++)
		image[i] = (unsigned short)(i * 77);
	wait_idle();
	out(FORE_MIX, 0x47);
	area(900, 600, 64, 64);
	out(CMD, 0x53b1);
	send(image, 64 * 64);
	/* Forty dots of a row over a bus of sixteen bits, twenty rows of the same, magnified nowhere. */
	wait_idle();
	out(FORE_MIX, 0x27);
	out(BACK_MIX, 0x07);
	out(FORE, 0xffe0);
	out(BACK, 0x001f);
	out(MULTI, 0xa080);
	area(50, 700, 40, 20);
	out(CMD, 0x53b3);
	for (i = 0; i < 20; i++)
		send(glyph, 3);
	out(MULTI, 0xa000);
	wait_idle();
	return 0;
}

static u32 milliseconds(void)
{
	u32 now[2];
	call(GETTIMEOFDAY, (int)now, 0, 0);
	return now[0] * 1000 + now[1] / 1000;
}

static int scroll(int fd, u32 seconds)
{
	static u32 var[VAR_WORDS], fix[17];
	u32 map[6], *m, line, all, step, n = 0, begun, now;

	call(IOCTL, fd, GET_VAR, var);
	call(IOCTL, fd, GET_FIX, fix);
	line = fix[11] / 4;
	all = line * var[YRES];
	step = line * 16;
	map[0] = 0, map[1] = all * 4, map[2] = 3, map[3] = 1, map[4] = (u32)fd, map[5] = 0;
	m = (u32 *)call(MMAP, (int)map, 0, 0);
	if ((u32)m > 0xfffff000)
		return refused((int)m);
	begun = milliseconds();
	do {
		u32 *to = m, *from = m + step, words = all - step;
		__asm__ volatile("cld; rep movsl" : "+D"(to), "+S"(from), "+c"(words) : : "memory");
		words = step;
		__asm__ volatile("rep stosl" : "+D"(to), "+c"(words) : "a"(n) : "memory");
		n++;
		now = milliseconds();
	} while (now - begun < seconds * 1000);
	say("screen ");
	say_number(var[XRES]);
	say("x");
	say_number(var[YRES]);
	say("x");
	say_number(var[BITS]);
	say(" scrolled ");
	say_number(n);
	say(" in ");
	say_number(now - begun);
	said();
	return 0;
}

static int show(char **arg, int n)
{
	static const unsigned char order[] = { XRES, YRES, BITS, GREEN_LENGTH, NONSTD, 25, 26, 27, 28, 29, 30, 31, 32, VMODE };
	static u32 var[VAR_WORDS], fix[17];
	int fd = call(OPEN, (int)"/dev/fb0", 2, 0), e, i, text = same(arg[1], "text"), tall = same(arg[1], "tall");
	u32 words, w;

	if (same(arg[1], "engine"))
		return engine();
	if (fd < 0)
		return refused(fd);
	if (same(arg[1], "scroll"))
		return scroll(fd, number(arg[2]));
	call(IOCTL, fd, GET_VAR, var);
	if (same(arg[1], "pan")) {
		var[YOFFSET] = number(arg[2]);
		e = call(IOCTL, fd, PAN, var);
		return e < 0 ? refused(e) : 0;
	}
	/* Colours' lengths of another depth would keep the driver from the format that is meant. */
	for (i = 8; i < NONSTD; i++)
		var[i] = 0;
	e = call(OPEN, (int)"/dev/tty1", 2, 0);
	call(IOCTL, e, KDSETMODE, (void *)(text ? 0 : 1));
	for (i = 0; i < 14 && i + 1 + text + tall < n; i++)
		var[order[i]] = number(arg[i + 1 + text + tall]);
	var[XRES_VIRTUAL] = var[XRES];
	var[YRES_VIRTUAL] = var[YRES] << tall;
	var[XOFFSET] = var[YOFFSET] = 0;
	var[ACTIVATE] = text ? 0 : 128;
	e = call(IOCTL, fd, PUT_VAR, var);
	if (e < 0)
		return refused(e);
	call(IOCTL, fd, GET_VAR, var);
	call(IOCTL, fd, GET_FIX, fix);
	if (!text) {
		u32 map[6] = { 0, fix[5], 3, 1, (u32)fd, 0 };
		u32 *m = (u32 *)call(MMAP, (int)map, 0, 0);
		if ((u32)m > 0xfffff000)
			return refused((int)m);
		if (var[BITS] <= 8)
			colours(fd, 1u << var[BITS]);
		words = fix[5] / 4;
		for (w = 0; w < words; w++)
			m[w] = w * 0x9e3779b9u;
	}
	say("mode ");
	say_number(var[XRES]);
	say("x");
	say_number(var[YRES]);
	say("x");
	say_number(var[BITS]);
	say(" line=");
	say_number(fix[11]);
	say(" type=");
	say_number(fix[6]);
	said();
	return 0;
}

__attribute__((used)) void begin(int *stack)
{
	call(EXIT, stack[0] < 2 ? 2 : show((char **)(stack + 1), stack[0]), 0, 0);
}

__asm__(".globl _start\n_start:\n\tmov %esp, %eax\n\tand $-16, %esp\n\tsub $12, %esp\n\tpush %eax\n\tcall begin\n");
