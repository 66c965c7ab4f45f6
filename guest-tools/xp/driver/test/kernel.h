/*
 * As much of the kernel as the driver calls, in one thread of a program: each function does what its documentation says, and
 * stops the test if it is called at the wrong IRQL, or out of order.
 */
#ifndef KERNEL_H
#define KERNEL_H

#include "../driver.h"

#define MUST(what)                                                                                                           \
    do {                                                                                                                     \
        if (!(what))                                                                                                         \
            fail(__FILE__, __LINE__, #what);                                                                                 \
    } while (0)

void fail(const char *file, int line, const char *what) __attribute__((noreturn));

/* A request on its way, for the driver and the bus below it. */
struct request {
    IRP irp;
    IO_STACK_LOCATION room[3];
    BOOLEAN done;
    int when; /* of `sequence` */
    union {
        UCHAR buffer[2048];
        ULONGLONG align;
    } u;
    struct {
        MDL mdl;
        PFN_NUMBER page[512];
    } memory;
};

/* The machine. */
extern ULONG registers[1024];
extern BOOLEAN registers_there;
extern int sequence;        /* goes up with each thing that happens */
extern int control_cleared; /* when CONTROL was last written as zero */
extern int mapped_io, mapped_views, connected, interface_on, device_deleted, dpc_queued, references;
extern KIRQL irql;
extern BOOLEAN admin;
extern PVOID process;
extern DEVICE_OBJECT *fdo, pdo;
extern DRIVER_OBJECT driver;

BOOLEAN interrupt_now(void);
void run_dpc(void);
IO_STACK_LOCATION *request(struct request *r, UCHAR major, UCHAR minor);
NTSTATUS send(struct request *r);
void cancel(struct request *r);
ULONG remove_locks(void);

#endif
