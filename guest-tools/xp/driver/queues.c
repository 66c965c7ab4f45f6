/* Requests that wait: for an interrupt, and those whose memory is lent to the host. Cancel-safe queues. */
#include "driver.h"

#define NUMBER(irp) ((irp)->Tail.Overlay.DriverContext[0])

static struct device *of_waits(IO_CSQ *q)
{
    return CONTAINING_RECORD(q, struct device, waits);
}

static struct device *of_lends(IO_CSQ *q)
{
    return CONTAINING_RECORD(q, struct device, lends);
}

/* The queue's callbacks: insert, remove and peek at DISPATCH_LEVEL under the lock. */
static void NTAPI wait_insert(IO_CSQ *q, IRP *irp)
{
    InsertTailList(&of_waits(q)->wait_list, &irp->Tail.Overlay.ListEntry);
}

static void NTAPI lend_insert(IO_CSQ *q, IRP *irp)
{
    InsertTailList(&of_lends(q)->lend_list, &irp->Tail.Overlay.ListEntry);
}

static void NTAPI queue_remove(IO_CSQ *q, IRP *irp)
{
    (void)q;
    RemoveEntryList(&irp->Tail.Overlay.ListEntry);
}

static IRP *next_of(LIST_ENTRY *head, IRP *after)
{
    LIST_ENTRY *e = after ? after->Tail.Overlay.ListEntry.Flink : head->Flink;

    return e == head ? NULL : CONTAINING_RECORD(e, IRP, Tail.Overlay.ListEntry);
}

static IRP *NTAPI wait_peek(IO_CSQ *q, IRP *after, PVOID context)
{
    (void)context;
    return next_of(&of_waits(q)->wait_list, after);
}

static IRP *NTAPI lend_peek(IO_CSQ *q, IRP *after, PVOID context)
{
    const struct which *w = context;
    IRP *irp = next_of(&of_lends(q)->lend_list, after);

    while (irp && w && !w->any && NUMBER(irp) != (PVOID)(ULONG_PTR)w->id)
        irp = next_of(&of_lends(q)->lend_list, irp);
    return irp;
}

/* <= DISPATCH_LEVEL; raises to it. */
static void NTAPI wait_lock(IO_CSQ *q, KIRQL *irql)
{
    KeAcquireSpinLock(&of_waits(q)->lock, irql);
}

static void NTAPI wait_unlock(IO_CSQ *q, KIRQL irql)
{
    KeReleaseSpinLock(&of_waits(q)->lock, irql);
}

static void NTAPI lend_lock(IO_CSQ *q, KIRQL *irql)
{
    KeAcquireSpinLock(&of_lends(q)->lock, irql);
}

static void NTAPI lend_unlock(IO_CSQ *q, KIRQL irql)
{
    KeReleaseSpinLock(&of_lends(q)->lock, irql);
}

/* <= DISPATCH_LEVEL. The IRP is in no queue any more. */
static void wait_ended(struct device *d, IRP *irp, NTSTATUS why)
{
    InterlockedDecrement(&d->waiting);
    finish(irp, why, 0);
}

/* <= DISPATCH_LEVEL. The same; the I/O manager unlocks the memory. */
static void lend_ended(struct device *d, IRP *irp, NTSTATUS why)
{
    KIRQL irql;

    KeAcquireSpinLock(&d->lock, &irql);
    d->lent_count--;
    d->lent_bytes -= MmGetMdlByteCount(irp->MdlAddress);
    KeReleaseSpinLock(&d->lock, irql);
    finish(irp, why, 0);
}

static void NTAPI wait_cancelled(IO_CSQ *q, IRP *irp)
{
    wait_ended(of_waits(q), irp, STATUS_CANCELLED);
}

/* The host may still have the addresses: no bus, no access. */
static void NTAPI lend_cancelled(IO_CSQ *q, IRP *irp)
{
    hardware_stop_bus(of_lends(q));
    lend_ended(of_lends(q), irp, STATUS_CANCELLED);
}

/* PASSIVE_LEVEL */
NTSTATUS queues_init(struct device *d)
{
    NTSTATUS status;

    KeInitializeSpinLock(&d->lock);
    InitializeListHead(&d->wait_list);
    InitializeListHead(&d->lend_list);
    status = IoCsqInitialize(&d->waits, wait_insert, queue_remove, wait_peek, wait_lock, wait_unlock, wait_cancelled);
    if (!NT_SUCCESS(status))
        return status;
    return IoCsqInitialize(&d->lends, lend_insert, queue_remove, lend_peek, lend_lock, lend_unlock, lend_cancelled);
}

/* Ends all that waits. Who lent memory must have stopped the bus before. <= DISPATCH_LEVEL */
void queues_drain(struct device *d, NTSTATUS why)
{
    struct which all = { TRUE, 0 };
    IRP *irp;

    while ((irp = IoCsqRemoveNextIrp(&d->waits, NULL)))
        wait_ended(d, irp, why);
    while ((irp = IoCsqRemoveNextIrp(&d->lends, &all)))
        lend_ended(d, irp, why);
}

/* Takes who waits for an interrupt out of its queue. <= DISPATCH_LEVEL */
IRP *queues_waiter(struct device *d)
{
    IRP *irp = IoCsqRemoveNextIrp(&d->waits, NULL);

    if (irp)
        InterlockedDecrement(&d->waiting);
    return irp;
}

/*
 * What was queued while the device was closed or went away is ended here, if the one who did that looked before.
 * `closing` and `state` are set before that look. <= DISPATCH_LEVEL
 */
static void queued(struct device *d)
{
    KeMemoryBarrier();
    if (d->closing || d->state != STARTED) {
        hardware_stop_bus(d);
        queues_drain(d, STATUS_CANCELLED);
    }
}

/* PASSIVE_LEVEL. One at a time. */
NTSTATUS queue_wait(struct device *d, IRP *irp)
{
    if (InterlockedIncrement(&d->waiting) > 1) {
        InterlockedDecrement(&d->waiting);
        return finish(irp, STATUS_DEVICE_BUSY, 0);
    }
    IoCsqInsertIrp(&d->waits, irp, NULL);
    queued(d);
    deliver(d);
    return STATUS_PENDING;
}

/* PASSIVE_LEVEL. The I/O manager has locked the memory for writing and described it in the IRP's MDL. */
NTSTATUS queue_lend(struct device *d, IRP *irp, ULONG id)
{
    MDL *mdl = irp->MdlAddress;
    NTSTATUS status = STATUS_SUCCESS;
    ULONG bytes, i;
    KIRQL irql;

    if (!mdl || MmGetMdlByteCount(mdl) > HEIRBUS_LEND_MOST)
        return finish(irp, STATUS_INVALID_PARAMETER, 0);
    bytes = MmGetMdlByteCount(mdl);
    /* Descriptors hold 32 bits of an address. */
    for (i = 0; i < ADDRESS_AND_SIZE_TO_SPAN_PAGES(MmGetMdlVirtualAddress(mdl), bytes); i++) {
        if (MmGetMdlPfnArray(mdl)[i] > 0xfffff)
            return finish(irp, STATUS_NOT_SUPPORTED, 0);
    }
    KeAcquireSpinLock(&d->lock, &irql);
    if (d->lent_count >= HEIRBUS_LENT_COUNT || d->lent_bytes + bytes > HEIRBUS_LENT_MOST) {
        status = STATUS_QUOTA_EXCEEDED;
    } else {
        d->lent_count++;
        d->lent_bytes += bytes;
    }
    KeReleaseSpinLock(&d->lock, irql);
    if (!NT_SUCCESS(status))
        return finish(irp, status, 0);
    NUMBER(irp) = (PVOID)(ULONG_PTR)id;
    IoCsqInsertIrp(&d->lends, irp, NULL);
    queued(d);
    return STATUS_PENDING;
}

/* Where lent memory lies. An IRP of the queue stays whole as long as the lock is held. <= DISPATCH_LEVEL */
NTSTATUS lent_pages(struct device *d, ULONG id, struct heirbus_pages *pages, ULONG room, ULONG *bytes)
{
    struct which one = { FALSE, id };
    NTSTATUS status = STATUS_NOT_FOUND;
    ULONG count, i;
    KIRQL irql;
    IRP *irp;

    KeAcquireSpinLock(&d->lock, &irql);
    irp = lend_peek(&d->lends, NULL, &one);
    if (irp) {
        MDL *mdl = irp->MdlAddress;

        count = ADDRESS_AND_SIZE_TO_SPAN_PAGES(MmGetMdlVirtualAddress(mdl), MmGetMdlByteCount(mdl));
        *bytes = FIELD_OFFSET(struct heirbus_pages, page) + count * sizeof(ULONG);
        status = STATUS_BUFFER_TOO_SMALL;
        if (room >= *bytes) {
            pages->bytes = MmGetMdlByteCount(mdl);
            pages->offset = MmGetMdlByteOffset(mdl);
            pages->count = count;
            for (i = 0; i < count; i++)
                pages->page[i] = (ULONG)MmGetMdlPfnArray(mdl)[i] << PAGE_SHIFT;
            status = STATUS_SUCCESS;
        }
    }
    KeReleaseSpinLock(&d->lock, irql);
    return status;
}

/* <= DISPATCH_LEVEL */
NTSTATUS lent_return(struct device *d, ULONG id)
{
    struct which one = { FALSE, id };
    IRP *irp = IoCsqRemoveNextIrp(&d->lends, &one);

    if (!irp)
        return STATUS_NOT_FOUND;
    lend_ended(d, irp, STATUS_SUCCESS);
    return STATUS_SUCCESS;
}
