/*
 * What the driver of the integration channel's PCI function says to the program that opens it. The agent has the same in
 * agent/src/platform/bus.rs. Numbers are little-endian, structures without gaps.
 *
 * The device interface HEIRBUS_INTERFACE is opened by one process at a time, LocalSystem's or an administrator's, with
 * FILE_FLAG_OVERLAPPED. When its handle is closed, by CloseHandle or by the end of the process, the bus is stopped (RUN is
 * cleared), what is waited for ends, and mappings are gone.
 */
#ifndef HEIRBUS_H
#define HEIRBUS_H

/* {c0b1f0a6-6f0b-4f64-9d5c-28d4a3f1be10} */
DEFINE_GUID(HEIRBUS_INTERFACE, 0xc0b1f0a6, 0x6f0b, 0x4f64, 0x9d, 0x5c, 0x28, 0xd4, 0xa3, 0xf1, 0xbe, 0x10);

#define HEIRBUS_VERSION 0x00010000

#define HEIRBUS_CODE(function, method) CTL_CODE(0x8484, function, method, FILE_READ_ACCESS | FILE_WRITE_ACCESS)

/* Out: struct heirbus_map. Maps registers and window into this process; asked again, the answer is the same. */
#define HEIRBUS_MAP HEIRBUS_CODE(0x800, METHOD_BUFFERED)

/* Out: struct heirbus_wait. Ends with the next interrupt's bits, at once if bits were collected since the last one. */
#define HEIRBUS_WAIT HEIRBUS_CODE(0x801, METHOD_BUFFERED)

/*
 * In: struct heirbus_id; the output buffer is memory to lend to the host, at most HEIRBUS_LEND_MOST bytes. It stays in
 * place while the request is pending: until HEIRBUS_RETURN with this id, or the handle is closed. If it is cancelled
 * (CancelIo, the end of the thread) the bus is stopped first, for the host may still know the memory.
 */
#define HEIRBUS_LEND HEIRBUS_CODE(0x802, METHOD_OUT_DIRECT)

/* In: struct heirbus_id. Out: struct heirbus_pages of what was lent. */
#define HEIRBUS_PAGES HEIRBUS_CODE(0x803, METHOD_BUFFERED)

/* In: struct heirbus_id. The host knows this memory no more. */
#define HEIRBUS_RETURN HEIRBUS_CODE(0x804, METHOD_BUFFERED)

#define HEIRBUS_LEND_MOST (1024 * 1024)
/* Of all that is lent at a time. */
#define HEIRBUS_LENT_MOST (16 * 1024 * 1024)
#define HEIRBUS_LENT_COUNT 64

struct heirbus_map {
    ULONG version; /* HEIRBUS_VERSION */
    ULONG registers_bytes;
    ULONGLONG registers; /* addresses in this process */
    ULONGLONG window;
    ULONG window_bytes;
    ULONG zero;
};

struct heirbus_wait {
    ULONG pending0; /* as TAKE0, TAKE1 */
    ULONG pending1;
    ULONG what; /* HEIRBUS_STOPPED: the machine slept; registers are as after a reset */
};
#define HEIRBUS_STOPPED 1

struct heirbus_id {
    ULONG id; /* the program's choice */
};

struct heirbus_pages {
    ULONG bytes;
    ULONG offset; /* into the first page */
    ULONG count;
    ULONG page[1]; /* physical addresses of pages, in order */
};

#endif
