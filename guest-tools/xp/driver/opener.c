/* The one process that has the function open, and what is mapped into it. */
#include "driver.h"

/* PASSIVE_LEVEL. LocalSystem and administrators, one at a time. */
NTSTATUS NTAPI create(DEVICE_OBJECT *self, IRP *irp)
{
    struct device *d = self->DeviceExtension;
    IO_STACK_LOCATION *at = IoGetCurrentIrpStackLocation(irp);
    ACCESS_STATE *access = at->Parameters.Create.SecurityContext->AccessState;
    SECURITY_SUBJECT_CONTEXT *who = &access->SubjectSecurityContext;
    NTSTATUS status = IoAcquireRemoveLock(&d->remove, irp);

    if (!NT_SUCCESS(status))
        return finish(irp, status, 0);
    enter(d);
    if (d->state != STARTED || d->held)
        status = STATUS_DEVICE_NOT_READY;
    else if (at->FileObject->FileName.Length)
        status = STATUS_OBJECT_NAME_NOT_FOUND;
    else if (!SeTokenIsAdmin(who->ClientToken ? who->ClientToken : who->PrimaryToken))
        status = STATUS_ACCESS_DENIED;
    else if (d->opener.file)
        status = STATUS_SHARING_VIOLATION;
    if (NT_SUCCESS(status)) {
        d->opener.file = at->FileObject;
        d->opener.process = IoGetCurrentProcess();
        ObReferenceObject(d->opener.process);
        d->pending[0] = d->pending[1] = d->what = 0;
        InterlockedExchange(&d->closing, FALSE);
    }
    leave(d);
    IoReleaseRemoveLock(&d->remove, irp);
    return finish(irp, status, 0);
}

/*
 * PASSIVE_LEVEL, in the process whose handle was the last. It has ended, or closed it. The host is told first, then memory
 * goes. A handle that was duplicated and closed elsewhere leaves the views to the end of their own process.
 */
NTSTATUS NTAPI cleanup(DEVICE_OBJECT *self, IRP *irp)
{
    struct device *d = self->DeviceExtension;

    InterlockedExchange(&d->closing, TRUE);
    enter(d);
    hardware_stop_bus(d);
    queues_drain(d, STATUS_CANCELLED);
    if (d->opener.process == IoGetCurrentProcess()) {
        if (d->opener.registers)
            ZwUnmapViewOfSection(NtCurrentProcess(), d->opener.registers);
        if (d->opener.window)
            ZwUnmapViewOfSection(NtCurrentProcess(), d->opener.window);
    }
    d->opener.registers = NULL;
    d->opener.window = NULL;
    leave(d);
    return finish(irp, STATUS_SUCCESS, 0);
}

/* PASSIVE_LEVEL. No request of the file is left. */
NTSTATUS NTAPI close(DEVICE_OBJECT *self, IRP *irp)
{
    struct device *d = self->DeviceExtension;

    enter(d);
    if (d->opener.file) {
        ObDereferenceObject(d->opener.process);
        RtlZeroMemory(&d->opener, sizeof(d->opener));
    }
    leave(d);
    return finish(irp, STATUS_SUCCESS, 0);
}

/* Views begin at multiples of this. */
#define GRAIN 0x10000u

/* Maps physical memory into the current process; `*view` is where the mapping begins. PASSIVE_LEVEL */
static NTSTATUS view_of(HANDLE memory, PHYSICAL_ADDRESS at, ULONG bytes, ULONG protect, PVOID *view, ULONGLONG *address)
{
    ULONG before = at.LowPart & (GRAIN - 1);
    SIZE_T length = before + bytes;
    LARGE_INTEGER from;
    PVOID base = NULL;
    NTSTATUS status;

    from.QuadPart = at.QuadPart - before;
    status = ZwMapViewOfSection(memory, NtCurrentProcess(), &base, 0, length, &from, &length, ViewUnmap, 0, protect);
    if (NT_SUCCESS(status)) {
        *view = base;
        *address = (ULONG_PTR)base + before;
    }
    return status;
}

/* PASSIVE_LEVEL, under the mutex. Both or none. */
static NTSTATUS map_both(struct device *d, ULONGLONG *registers, ULONGLONG *window)
{
    UNICODE_STRING name = RTL_CONSTANT_STRING(L"\\Device\\PhysicalMemory");
    OBJECT_ATTRIBUTES a;
    NTSTATUS status;
    HANDLE memory;

    InitializeObjectAttributes(&a, &name, OBJ_CASE_INSENSITIVE | OBJ_KERNEL_HANDLE, NULL, NULL);
    status = ZwOpenSection(&memory, SECTION_MAP_READ | SECTION_MAP_WRITE, &a);
    if (!NT_SUCCESS(status))
        return status;
    status = view_of(memory, d->registers_at, REGISTERS, PAGE_READWRITE | PAGE_NOCACHE, &d->opener.registers, registers);
    if (NT_SUCCESS(status)) {
        status = view_of(memory, d->window_at, d->window_bytes, PAGE_READWRITE, &d->opener.window, window);
        if (!NT_SUCCESS(status)) {
            ZwUnmapViewOfSection(NtCurrentProcess(), d->opener.registers);
            d->opener.registers = NULL;
        }
    }
    ZwClose(memory);
    return status;
}

/* PASSIVE_LEVEL */
NTSTATUS opener_map(struct device *d, struct heirbus_map *map)
{
    ULONGLONG registers, window;
    NTSTATUS status = STATUS_SUCCESS;

    enter(d);
    if (d->closing || d->state != STARTED)
        status = STATUS_DEVICE_NOT_READY;
    else if (d->opener.process != IoGetCurrentProcess())
        status = STATUS_ACCESS_DENIED;
    else if (!d->opener.registers)
        status = map_both(d, &registers, &window);
    else {
        registers = (ULONG_PTR)d->opener.registers + (d->registers_at.LowPart & (GRAIN - 1));
        window = (ULONG_PTR)d->opener.window + (d->window_at.LowPart & (GRAIN - 1));
    }
    if (NT_SUCCESS(status)) {
        map->version = HEIRBUS_VERSION;
        map->registers_bytes = REGISTERS;
        map->registers = registers;
        map->window = window;
        map->window_bytes = d->window_bytes;
        map->zero = 0;
    }
    leave(d);
    return status;
}
