/* Plug and play. All at PASSIVE_LEVEL but for the completion routine. */
#include "driver.h"

/* <= DISPATCH_LEVEL */
static NTSTATUS NTAPI below_has_done(DEVICE_OBJECT *self, IRP *irp, PVOID event)
{
    (void)self, (void)irp;
    KeSetEvent(event, IO_NO_INCREMENT, FALSE);
    return STATUS_MORE_PROCESSING_REQUIRED;
}

/* The drivers below first, waited for. */
static NTSTATUS below_first(struct device *d, IRP *irp)
{
    NTSTATUS status;
    KEVENT done;

    KeInitializeEvent(&done, NotificationEvent, FALSE);
    IoCopyCurrentIrpStackLocationToNext(irp);
    IoSetCompletionRoutine(irp, below_has_done, &done, TRUE, TRUE, TRUE);
    status = IoCallDriver(d->below, irp);
    if (status == STATUS_PENDING) {
        KeWaitForSingleObject(&done, Executive, KernelMode, FALSE, NULL);
        status = irp->IoStatus.Status;
    }
    return status;
}

static NTSTATUS start(struct device *d, IRP *irp)
{
    IO_STACK_LOCATION *at = IoGetCurrentIrpStackLocation(irp);
    NTSTATUS status = below_first(d, irp);

    if (NT_SUCCESS(status)) {
        enter(d);
        status = hardware_start(d, at->Parameters.StartDevice.AllocatedResourcesTranslated);
        if (NT_SUCCESS(status))
            d->state = STARTED, d->held = FALSE;
        leave(d);
    }
    if (NT_SUCCESS(status))
        IoSetDeviceInterfaceState(&d->link, TRUE);
    return finish(irp, status, 0);
}

/* No more hardware: `next` says why. */
static void stop(struct device *d, enum state next, BOOLEAN still_there)
{
    if (d->state == STARTED && next == GONE)
        IoSetDeviceInterfaceState(&d->link, FALSE);
    enter(d);
    d->state = next;
    KeMemoryBarrier();
    hardware_stop(d, still_there);
    queues_drain(d, STATUS_DELETE_PENDING);
    leave(d);
}

static NTSTATUS removed(struct device *d, IRP *irp)
{
    NTSTATUS status;

    stop(d, GONE, d->state == STARTED);
    IoReleaseRemoveLockAndWait(&d->remove, irp);
    irp->IoStatus.Status = STATUS_SUCCESS;
    IoSkipCurrentIrpStackLocation(irp);
    status = IoCallDriver(d->below, irp);
    IoDetachDevice(d->below);
    RtlFreeUnicodeString(&d->link);
    IoDeleteDevice(d->self);
    return status;
}

NTSTATUS NTAPI pnp(DEVICE_OBJECT *self, IRP *irp)
{
    struct device *d = self->DeviceExtension;
    NTSTATUS status = IoAcquireRemoveLock(&d->remove, irp);
    BOOLEAN open;

    if (!NT_SUCCESS(status))
        return finish(irp, status, 0);
    switch (IoGetCurrentIrpStackLocation(irp)->MinorFunction) {
    case IRP_MN_START_DEVICE:
        status = start(d, irp);
        IoReleaseRemoveLock(&d->remove, irp);
        return status;
    case IRP_MN_QUERY_STOP_DEVICE:
    case IRP_MN_QUERY_REMOVE_DEVICE:
        /* The window is mapped at this address: neither while it is open. */
        enter(d);
        open = d->opener.file != NULL;
        d->held = !open;
        leave(d);
        if (open) {
            status = finish(irp, STATUS_DEVICE_BUSY, 0);
            IoReleaseRemoveLock(&d->remove, irp);
            return status;
        }
        break;
    case IRP_MN_STOP_DEVICE:
        stop(d, STOPPED, TRUE);
        break;
    case IRP_MN_SURPRISE_REMOVAL:
        stop(d, GONE, FALSE);
        break;
    case IRP_MN_REMOVE_DEVICE:
        return removed(d, irp);
    case IRP_MN_CANCEL_STOP_DEVICE:
    case IRP_MN_CANCEL_REMOVE_DEVICE:
        d->held = FALSE;
        break;
    default:
        /* Not ours: as it came. */
        return pass_down(d, irp);
    }
    irp->IoStatus.Status = STATUS_SUCCESS;
    return pass_down(d, irp);
}
