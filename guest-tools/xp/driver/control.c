/* The requests of heirbus.h. */
#include "driver.h"

/* The agent (agent/src/platform/bus.rs) has these numbers, too. */
_Static_assert((ULONG)HEIRBUS_MAP == 0x8484e000 && (ULONG)HEIRBUS_WAIT == 0x8484e004 &&
                   (ULONG)HEIRBUS_LEND == 0x8484e00a && (ULONG)HEIRBUS_PAGES == 0x8484e00c &&
                   (ULONG)HEIRBUS_RETURN == 0x8484e010,
               "codes of requests");
_Static_assert(FIELD_OFFSET(struct heirbus_map, registers) == 8 && FIELD_OFFSET(struct heirbus_map, window) == 16 &&
                   FIELD_OFFSET(struct heirbus_map, window_bytes) == 24 && sizeof(struct heirbus_map) == 32 &&
                   sizeof(struct heirbus_wait) == 12,
               "structures without gaps");

/* PASSIVE_LEVEL. The IRP is completed or queued before the remove lock is given back. */
static NTSTATUS answer(struct device *d, IRP *irp, IO_STACK_LOCATION *at)
{
    ULONG in = at->Parameters.DeviceIoControl.InputBufferLength;
    ULONG out = at->Parameters.DeviceIoControl.OutputBufferLength;
    PVOID buffer = irp->AssociatedIrp.SystemBuffer;
    ULONG id = 0, bytes = 0;
    NTSTATUS status;

    if (in >= sizeof(struct heirbus_id))
        id = ((struct heirbus_id *)buffer)->id;
    switch (at->Parameters.DeviceIoControl.IoControlCode) {
    case HEIRBUS_MAP:
        if (out < sizeof(struct heirbus_map))
            return finish(irp, STATUS_BUFFER_TOO_SMALL, 0);
        status = opener_map(d, buffer);
        return finish(irp, status, NT_SUCCESS(status) ? sizeof(struct heirbus_map) : 0);
    case HEIRBUS_WAIT:
        if (out < sizeof(struct heirbus_wait))
            return finish(irp, STATUS_BUFFER_TOO_SMALL, 0);
        return queue_wait(d, irp);
    case HEIRBUS_LEND:
        if (in < sizeof(struct heirbus_id))
            break;
        return queue_lend(d, irp, id);
    case HEIRBUS_PAGES:
        if (in < sizeof(struct heirbus_id))
            break;
        status = lent_pages(d, id, buffer, out, &bytes);
        return finish(irp, status, NT_SUCCESS(status) ? bytes : 0);
    case HEIRBUS_RETURN:
        if (in < sizeof(struct heirbus_id))
            break;
        return finish(irp, lent_return(d, id), 0);
    default:
        return finish(irp, STATUS_INVALID_DEVICE_REQUEST, 0);
    }
    return finish(irp, STATUS_INVALID_PARAMETER, 0);
}

/* PASSIVE_LEVEL */
NTSTATUS NTAPI control(DEVICE_OBJECT *self, IRP *irp)
{
    struct device *d = self->DeviceExtension;
    NTSTATUS status = IoAcquireRemoveLock(&d->remove, irp);

    if (!NT_SUCCESS(status))
        return finish(irp, status, 0);
    if (d->state != STARTED)
        status = finish(irp, STATUS_DEVICE_NOT_READY, 0);
    else
        status = answer(d, irp, IoGetCurrentIrpStackLocation(irp));
    IoReleaseRemoveLock(&d->remove, irp);
    return status;
}
