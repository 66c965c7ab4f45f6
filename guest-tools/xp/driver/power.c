/*
 * Power. This driver is its device's policy owner: each system state asks for the device's, D0 in S0 and D3 in all others.
 * Dispatched at PASSIVE_LEVEL (DO_POWER_PAGABLE); completion at <= DISPATCH_LEVEL.
 */
#include "driver.h"

/* As it is, and the next may come. */
static NTSTATUS on(struct device *d, IRP *irp)
{
    NTSTATUS status;

    PoStartNextPowerIrp(irp);
    IoSkipCurrentIrpStackLocation(irp);
    status = PoCallDriver(d->below, irp);
    IoReleaseRemoveLock(&d->remove, irp);
    return status;
}

/* <= DISPATCH_LEVEL. The device has followed: the system's IRP, held in system_done, ends. */
static void NTAPI device_followed(DEVICE_OBJECT *pdo, UCHAR minor, POWER_STATE state, PVOID context, IO_STATUS_BLOCK *how)
{
    IRP *irp = context;
    struct device *d = IoGetCurrentIrpStackLocation(irp)->DeviceObject->DeviceExtension;

    (void)pdo, (void)minor, (void)state;
    irp->IoStatus.Status = how->Status;
    PoStartNextPowerIrp(irp);
    IoCompleteRequest(irp, IO_NO_INCREMENT);
    IoReleaseRemoveLock(&d->remove, irp);
}

/* <= DISPATCH_LEVEL */
static NTSTATUS NTAPI system_done(DEVICE_OBJECT *self, IRP *irp, PVOID context)
{
    struct device *d = context;
    NTSTATUS status = irp->IoStatus.Status;
    POWER_STATE to;

    (void)self;
    if (NT_SUCCESS(status)) {
        IO_STACK_LOCATION *at = IoGetCurrentIrpStackLocation(irp);

        to.DeviceState = at->Parameters.Power.State.SystemState == PowerSystemWorking ? PowerDeviceD0 : PowerDeviceD3;
        status = PoRequestPowerIrp(d->pdo, IRP_MN_SET_POWER, to, device_followed, irp, NULL);
        if (NT_SUCCESS(status))
            return STATUS_MORE_PROCESSING_REQUIRED;
        irp->IoStatus.Status = status;
    }
    PoStartNextPowerIrp(irp);
    IoReleaseRemoveLock(&d->remove, irp);
    return STATUS_CONTINUE_COMPLETION;
}

/* <= DISPATCH_LEVEL. Registers are as after a reset: who has it open must start the bus again. */
static NTSTATUS NTAPI awake(DEVICE_OBJECT *self, IRP *irp, PVOID context)
{
    struct device *d = context;

    (void)self;
    if (NT_SUCCESS(irp->IoStatus.Status)) {
        POWER_STATE d0 = { .DeviceState = PowerDeviceD0 };

        PoSetPowerState(d->self, DevicePowerState, d0);
        hardware_listen(d, TRUE);
        InterlockedOr(&d->what, HEIRBUS_STOPPED);
        deliver(d);
    }
    PoStartNextPowerIrp(irp);
    IoReleaseRemoveLock(&d->remove, irp);
    return STATUS_CONTINUE_COMPLETION;
}

static NTSTATUS wait_below(struct device *d, IRP *irp, PIO_COMPLETION_ROUTINE done)
{
    IoMarkIrpPending(irp);
    IoCopyCurrentIrpStackLocationToNext(irp);
    IoSetCompletionRoutine(irp, done, d, TRUE, TRUE, TRUE);
    PoCallDriver(d->below, irp);
    return STATUS_PENDING;
}

NTSTATUS NTAPI power(DEVICE_OBJECT *self, IRP *irp)
{
    struct device *d = self->DeviceExtension;
    IO_STACK_LOCATION *at = IoGetCurrentIrpStackLocation(irp);
    NTSTATUS status = IoAcquireRemoveLock(&d->remove, irp);

    if (!NT_SUCCESS(status)) {
        PoStartNextPowerIrp(irp);
        return finish(irp, status, 0);
    }
    if (at->MinorFunction != IRP_MN_SET_POWER)
        return on(d, irp);
    if (at->Parameters.Power.Type == SystemPowerState)
        return wait_below(d, irp, system_done);
    if (at->Parameters.Power.State.DeviceState == PowerDeviceD0)
        return wait_below(d, irp, awake);
    /* What is lent stays locked, but the host knows nothing of it any more. */
    hardware_stop_bus(d);
    hardware_listen(d, FALSE);
    PoSetPowerState(d->self, DevicePowerState, at->Parameters.Power.State);
    return on(d, irp);
}
