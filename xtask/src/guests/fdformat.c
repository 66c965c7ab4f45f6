/* Formats all tracks of /dev/fd0 by the driver's own calls; without a C library. Exit code: 0, or what failed. */

#define FDFMTBEG 0x0247u
#define FDFMTTRK 0x400c0248u
#define FDFMTEND 0x0249u

struct format_descr {
	unsigned int device, head, track;
};

static int call(int n, int a, int b, void *c)
{
	int r;
	__asm__ volatile("int $0x80" : "=a"(r) : "a"(n), "b"(a), "c"(b), "d"(c) : "memory");
	return r;
}

enum { EXIT = 1, OPEN = 5, IOCTL = 54, O_WRONLY_EXCL = 0201 };

static int format(void)
{
	static const char name[] = "/dev/fd0";
	int fd = call(OPEN, (int)name, O_WRONLY_EXCL, 0);
	struct format_descr at = { 0, 0, 0 };

	if (fd < 0)
		return 1;
	if (call(IOCTL, fd, FDFMTBEG, 0) < 0)
		return 2;
	for (at.track = 0; at.track < 80; at.track++)
		for (at.head = 0; at.head < 2; at.head++)
			if (call(IOCTL, fd, (int)FDFMTTRK, &at) < 0)
				return 3;
	return call(IOCTL, fd, FDFMTEND, 0) < 0 ? 4 : 0;
}

void _start(void)
{
	call(EXIT, format(), 0, 0);
}
