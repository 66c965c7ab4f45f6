/* The driver's entry, a device's making, and what passes through. */
#define INITGUID
#include "driver.h"

static DRIVER_ADD_DEVICE add_device;
static DRIVER_UNLOAD unload;

/* <= DISPATCH_LEVEL */
NTSTATUS finish(IRP *irp, NTSTATUS status, ULONG_PTR information)
{
    irp->IoStatus.Status = status;
    irp->IoStatus.Information = information;
    IoCompleteRequest(irp, IO_NO_INCREMENT);
    return status;
}

/* The IRP of who holds the remove lock goes down as it is, and the lock is given back. <= DISPATCH_LEVEL */
NTSTATUS pass_down(struct device *d, IRP *irp)
{
    NTSTATUS status;

    IoSkipCurrentIrpStackLocation(irp);
    status = IoCallDriver(d->below, irp);
    IoReleaseRemoveLock(&d->remove, irp);
    return status;
}

/* PASSIVE_LEVEL. A thread that holds the mutex must not be suspended by a normal APC. */
void enter(struct device *d)
{
    KeEnterCriticalRegion();
    KeWaitForSingleObject(&d->mutex, Executive, KernelMode, FALSE, NULL);
}

/* PASSIVE_LEVEL */
void leave(struct device *d)
{
    KeSetEvent(&d->mutex, IO_NO_INCREMENT, FALSE);
    KeLeaveCriticalRegion();
}

/* WMI: nothing of ours. PASSIVE_LEVEL */
static NTSTATUS NTAPI system_control(DEVICE_OBJECT *self, IRP *irp)
{
    struct device *d = self->DeviceExtension;
    NTSTATUS status = IoAcquireRemoveLock(&d->remove, irp);

    return NT_SUCCESS(status) ? pass_down(d, irp) : finish(irp, status, 0);
}

/* PASSIVE_LEVEL */
static NTSTATUS NTAPI add_device(DRIVER_OBJECT *driver, DEVICE_OBJECT *pdo)
{
    DEVICE_OBJECT *self;
    struct device *d;
    NTSTATUS status;

    /* Who may open it is in the INF (Security), for PnP sets it on the whole stack; create() looks again. */
    status = IoCreateDevice(driver, sizeof(*d), NULL, FILE_DEVICE_UNKNOWN, FILE_DEVICE_SECURE_OPEN, FALSE, &self);
    if (!NT_SUCCESS(status))
        return status;
    d = self->DeviceExtension;
    RtlZeroMemory(d, sizeof(*d));
    d->self = self;
    d->pdo = pdo;
    d->state = STOPPED;
    IoInitializeRemoveLock(&d->remove, TAG, 0, 0);
    KeInitializeEvent(&d->mutex, SynchronizationEvent, TRUE);
    KeInitializeSpinLock(&d->deliver);
    KeInitializeSpinLock(&d->touch);
    KeInitializeDpc(&d->dpc, hardware_dpc, d);
    status = queues_init(d);
    if (!NT_SUCCESS(status))
        goto undo_device;
    status = IoRegisterDeviceInterface(pdo, &HEIRBUS_INTERFACE, NULL, &d->link);
    if (!NT_SUCCESS(status))
        goto undo_device;
    d->below = IoAttachDeviceToDeviceStack(self, pdo);
    if (!d->below) {
        status = STATUS_NO_SUCH_DEVICE;
        goto undo_interface;
    }
    self->Flags |= DO_POWER_PAGABLE;
    self->Flags &= ~DO_DEVICE_INITIALIZING;
    return STATUS_SUCCESS;

undo_interface:
    RtlFreeUnicodeString(&d->link);
undo_device:
    IoDeleteDevice(self);
    return status;
}

/* PASSIVE_LEVEL. All devices are gone. */
static void NTAPI unload(DRIVER_OBJECT *driver)
{
    (void)driver;
}

/* PASSIVE_LEVEL */
NTSTATUS NTAPI DriverEntry(DRIVER_OBJECT *driver, UNICODE_STRING *registry)
{
    (void)registry;
    driver->DriverUnload = unload;
    driver->DriverExtension->AddDevice = add_device;
    driver->MajorFunction[IRP_MJ_CREATE] = create;
    driver->MajorFunction[IRP_MJ_CLEANUP] = cleanup;
    driver->MajorFunction[IRP_MJ_CLOSE] = close;
    driver->MajorFunction[IRP_MJ_DEVICE_CONTROL] = control;
    driver->MajorFunction[IRP_MJ_PNP] = pnp;
    driver->MajorFunction[IRP_MJ_POWER] = power;
    driver->MajorFunction[IRP_MJ_SYSTEM_CONTROL] = system_control;
    return STATUS_SUCCESS;
}
