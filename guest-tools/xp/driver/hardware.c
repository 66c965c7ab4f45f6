/* The function's registers and its interrupt. */
#include "driver.h"

/* DIRQL: the interrupt's. The line may be shared: it is ours if any bit was set. */
static BOOLEAN NTAPI interrupt(PKINTERRUPT i, PVOID context)
{
    struct device *d = context;
    ULONG low, high;

    (void)i;
    if (!d->listening)
        return FALSE;
    low = READ_REGISTER_ULONG(d->registers + REG_TAKE0);
    high = READ_REGISTER_ULONG(d->registers + REG_TAKE1);
    if (!(low | high))
        return FALSE;
    InterlockedOr(&d->pending[0], low);
    InterlockedOr(&d->pending[1], high);
    KeInsertQueueDpc(&d->dpc, NULL, NULL);
    return TRUE;
}

/* DISPATCH_LEVEL */
void NTAPI hardware_dpc(KDPC *dpc, PVOID context, PVOID a, PVOID b)
{
    (void)dpc, (void)a, (void)b;
    deliver(context);
}

/* Gives what was collected to who waits; if nobody does it is kept. <= DISPATCH_LEVEL */
void deliver(struct device *d)
{
    struct heirbus_wait *answer;
    IRP *irp = NULL;
    KIRQL irql;

    KeAcquireSpinLock(&d->deliver, &irql);
    if (d->pending[0] | d->pending[1] | d->what)
        irp = queues_waiter(d);
    if (irp) {
        answer = irp->AssociatedIrp.SystemBuffer;
        answer->pending0 = InterlockedExchange(&d->pending[0], 0);
        answer->pending1 = InterlockedExchange(&d->pending[1], 0);
        answer->what = InterlockedExchange(&d->what, 0);
    }
    KeReleaseSpinLock(&d->deliver, irql);
    if (irp)
        finish(irp, STATUS_SUCCESS, sizeof(*answer));
}

struct listen {
    struct device *d;
    BOOLEAN on;
};

/* DIRQL, under the interrupt's lock: the handler does not run meanwhile. */
static BOOLEAN NTAPI set_listening(PVOID context)
{
    struct listen *l = context;

    l->d->listening = l->on;
    return TRUE;
}

/* Whether registers may be touched. When it returns after `off` nobody does. <= DISPATCH_LEVEL */
void hardware_listen(struct device *d, BOOLEAN on)
{
    struct listen l = { d, on };
    KIRQL irql;

    KeAcquireSpinLock(&d->touch, &irql);
    if (d->interrupt)
        KeSynchronizeExecution(d->interrupt, set_listening, &l);
    KeReleaseSpinLock(&d->touch, irql);
}

/* RUN and INTE off. When the write is done the host looks at no memory of ours. <= DISPATCH_LEVEL */
void hardware_stop_bus(struct device *d)
{
    KIRQL irql;

    KeAcquireSpinLock(&d->touch, &irql);
    if (d->listening)
        WRITE_REGISTER_ULONG(d->registers + REG_CONTROL, 0);
    KeReleaseSpinLock(&d->touch, irql);
}

/* Finds both memories and the interrupt. */
static BOOLEAN look_through(struct device *d, CM_RESOURCE_LIST *list, CM_PARTIAL_RESOURCE_DESCRIPTOR **line)
{
    CM_PARTIAL_RESOURCE_LIST *all;
    ULONG i;

    *line = NULL;
    d->registers_at.QuadPart = 0;
    d->window_at.QuadPart = 0;
    if (!list || list->Count < 1)
        return FALSE;
    all = &list->List[0].PartialResourceList;
    for (i = 0; i < all->Count; i++) {
        CM_PARTIAL_RESOURCE_DESCRIPTOR *r = &all->PartialDescriptors[i];

        if (r->Type == CmResourceTypeInterrupt) {
            *line = r;
        } else if (r->Type == CmResourceTypeMemory && r->u.Memory.Length == REGISTERS) {
            d->registers_at = r->u.Memory.Start;
        } else if (r->Type == CmResourceTypeMemory && r->u.Memory.Length >= WINDOW_LEAST &&
                   r->u.Memory.Length <= WINDOW_MOST) {
            d->window_at = r->u.Memory.Start;
            d->window_bytes = r->u.Memory.Length;
        }
    }
    return d->registers_at.QuadPart && d->window_at.QuadPart && *line;
}

/* PASSIVE_LEVEL, under the mutex. On failure nothing is left behind. */
NTSTATUS hardware_start(struct device *d, CM_RESOURCE_LIST *resources)
{
    CM_PARTIAL_RESOURCE_DESCRIPTOR *line;
    NTSTATUS status;

    if (!look_through(d, resources, &line))
        return STATUS_DEVICE_CONFIGURATION_ERROR;
    d->registers = MmMapIoSpace(d->registers_at, REGISTERS, MmNonCached);
    if (!d->registers)
        return STATUS_INSUFFICIENT_RESOURCES;
    if (READ_REGISTER_ULONG(d->registers + REG_ID) != ID_HBUS ||
        READ_REGISTER_ULONG(d->registers + REG_VERSION) >> 16 != HEIRBUS_VERSION >> 16 ||
        READ_REGISTER_ULONG(d->registers + REG_WINDOW) != d->window_bytes) {
        status = STATUS_DEVICE_CONFIGURATION_ERROR;
        goto undo_map;
    }
    WRITE_REGISTER_ULONG(d->registers + REG_CONTROL, 0);
    status = IoConnectInterrupt(&d->interrupt, interrupt, d, NULL, line->u.Interrupt.Vector,
                                (KIRQL)line->u.Interrupt.Level, (KIRQL)line->u.Interrupt.Level,
                                (line->Flags & CM_RESOURCE_INTERRUPT_LATCHED) ? Latched : LevelSensitive,
                                line->ShareDisposition == CmResourceShareShared, line->u.Interrupt.Affinity, FALSE);
    if (!NT_SUCCESS(status)) {
        d->interrupt = NULL;
        goto undo_map;
    }
    hardware_listen(d, TRUE);
    return STATUS_SUCCESS;

undo_map:
    MmUnmapIoSpace(d->registers, REGISTERS);
    d->registers = NULL;
    return status;
}

/* PASSIVE_LEVEL, under the mutex. What was started is undone; what was not is left alone. */
void hardware_stop(struct device *d, BOOLEAN still_there)
{
    if (still_there)
        hardware_stop_bus(d);
    hardware_listen(d, FALSE);
    if (d->interrupt) {
        IoDisconnectInterrupt(d->interrupt);
        d->interrupt = NULL;
    }
    KeFlushQueuedDpcs();
    if (d->registers) {
        MmUnmapIoSpace(d->registers, REGISTERS);
        d->registers = NULL;
    }
}
