/* What the driver's files share. Each function says at which IRQL it runs. */
#ifndef DRIVER_H
#define DRIVER_H

#include <ntdef.h>
/* The headers use it in IO_STACK_LOCATION, and declare it from Vista on; it is 32 bits that we don't look at. */
typedef struct { ULONG ContextAsUlong; } SYSTEM_POWER_STATE_CONTEXT, *PSYSTEM_POWER_STATE_CONTEXT;
#include <ntddk.h>
#include "heirbus.h"

/* Of ntifs.h, which does not go together with ntddk.h here. */
NTKERNELAPI BOOLEAN NTAPI SeTokenIsAdmin(PACCESS_TOKEN Token);

#define TAG 0x73754248 /* "HBus" */

/* Registers of BAR0, in 32-bit words (docs/design/channel.md). */
#define REG_ID (0x00 / 4)
#define REG_VERSION (0x04 / 4)
#define REG_WINDOW (0x08 / 4)
#define REG_CONTROL (0x10 / 4)
#define REG_TAKE0 (0x28 / 4)
#define REG_TAKE1 (0x2c / 4)
#define ID_HBUS 0x53554248
#define REGISTERS 4096
#define WINDOW_LEAST (4u << 20)
#define WINDOW_MOST (64u << 20)

/* Of PnP, as far as the dispatch functions care. */
enum state { STOPPED, STARTED, GONE };

/* Who has the device open; all under `mutex`, but for `closing`. */
struct opener {
    FILE_OBJECT *file;
    PEPROCESS process; /* referenced from create to close */
    PVOID registers;   /* views in that process, or null */
    PVOID window;
};

struct device {
    DEVICE_OBJECT *self;
    DEVICE_OBJECT *pdo;
    DEVICE_OBJECT *below;
    UNICODE_STRING link; /* of the device interface */
    IO_REMOVE_LOCK remove;

    KEVENT mutex; /* a synchronization event: holders stay at PASSIVE_LEVEL, where sections can be mapped */
    enum state state;
    BOOLEAN held; /* a QUERY_STOP or QUERY_REMOVE was answered with yes: nobody may open it until that is over */
    struct opener opener;
    LONG closing; /* the opener's last handle is gone: nothing may be queued for it */

    /* Of START_DEVICE. */
    PHYSICAL_ADDRESS registers_at;
    PHYSICAL_ADDRESS window_at;
    ULONG window_bytes;
    ULONG *registers;
    PKINTERRUPT interrupt;

    LONG listening; /* registers may be touched; changed under the interrupt's lock */
    KSPIN_LOCK touch; /* of who touches them outside of it */
    LONG pending[2];
    LONG what; /* HEIRBUS_STOPPED */
    KDPC dpc;
    KSPIN_LOCK deliver;

    KSPIN_LOCK lock; /* of both queues */
    IO_CSQ waits;
    LIST_ENTRY wait_list;
    LONG waiting;
    IO_CSQ lends;
    LIST_ENTRY lend_list;
    ULONG lent_count;
    ULONG lent_bytes;
};

/* What an IRP in the queue of lent memory is found by: the file's, and the number unless `any`. */
struct which {
    BOOLEAN any;
    ULONG id;
};

/* driver.c */
DRIVER_INITIALIZE DriverEntry;
NTSTATUS finish(IRP *irp, NTSTATUS status, ULONG_PTR information);
NTSTATUS pass_down(struct device *d, IRP *irp);
void enter(struct device *d);
void leave(struct device *d);

/* pnp.c */
NTSTATUS NTAPI pnp(DEVICE_OBJECT *self, IRP *irp);

/* power.c */
NTSTATUS NTAPI power(DEVICE_OBJECT *self, IRP *irp);

/* hardware.c */
NTSTATUS hardware_start(struct device *d, CM_RESOURCE_LIST *resources);
void hardware_stop(struct device *d, BOOLEAN still_there);
void hardware_listen(struct device *d, BOOLEAN on);
void hardware_stop_bus(struct device *d);
void deliver(struct device *d);
KDEFERRED_ROUTINE hardware_dpc;

/* opener.c */
NTSTATUS NTAPI create(DEVICE_OBJECT *self, IRP *irp);
NTSTATUS NTAPI cleanup(DEVICE_OBJECT *self, IRP *irp);
NTSTATUS NTAPI close(DEVICE_OBJECT *self, IRP *irp);
NTSTATUS opener_map(struct device *d, struct heirbus_map *map);

/* queues.c */
NTSTATUS queues_init(struct device *d);
void queues_drain(struct device *d, NTSTATUS why);
IRP *queues_waiter(struct device *d);
NTSTATUS queue_wait(struct device *d, IRP *irp);
NTSTATUS queue_lend(struct device *d, IRP *irp, ULONG id);
NTSTATUS lent_pages(struct device *d, ULONG id, struct heirbus_pages *pages, ULONG room, ULONG *bytes);
NTSTATUS lent_return(struct device *d, ULONG id);

/* control.c */
NTSTATUS NTAPI control(DEVICE_OBJECT *self, IRP *irp);

#endif
