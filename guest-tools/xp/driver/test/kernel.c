#include <stdio.h>
#include <stdlib.h>

#include "kernel.h"

ULONG registers[1024];
BOOLEAN registers_there = TRUE;
int sequence, control_cleared, mapped_io, mapped_views, connected, interface_on, device_deleted, dpc_queued, references;
KIRQL irql;
BOOLEAN admin = TRUE;
PVOID process = &admin;
DEVICE_OBJECT *fdo, pdo;
DRIVER_OBJECT driver;

static PKSERVICE_ROUTINE handler;
static PVOID handler_context;
static KDPC *queued_dpc;
static int locks_held;

void fail(const char *file, int line, const char *what)
{
    printf("%s:%d: not so: %s (after %d)\n", file, line, what, sequence);
    exit(1);
}

/* Registers */

ULONG NTAPI READ_REGISTER_ULONG(ULONG *r)
{
    ULONG v = *r;

    MUST(registers_there && mapped_io > 0);
    if (r == registers + REG_TAKE0 || r == registers + REG_TAKE1)
        *r = 0;
    return v;
}

void NTAPI WRITE_REGISTER_ULONG(ULONG *r, ULONG v)
{
    MUST(registers_there && mapped_io > 0);
    *r = v;
    if (r == registers + REG_CONTROL && v == 0)
        control_cleared = ++sequence;
}

BOOLEAN interrupt_now(void)
{
    KIRQL before = irql;
    BOOLEAN ours;

    MUST(handler);
    irql = 20;
    ours = handler(NULL, handler_context);
    irql = before;
    return ours;
}

void run_dpc(void)
{
    KIRQL before = irql;

    MUST(queued_dpc);
    irql = DISPATCH_LEVEL;
    queued_dpc->DeferredRoutine(queued_dpc, queued_dpc->DeferredContext, NULL, NULL);
    queued_dpc = NULL;
    dpc_queued = 0;
    irql = before;
}

/* Locks, events, interrupts */

KIRQL FASTCALL KfAcquireSpinLock(PKSPIN_LOCK l)
{
    KIRQL before = irql;

    MUST(irql <= DISPATCH_LEVEL && *l == 0);
    *l = 1;
    locks_held++;
    irql = DISPATCH_LEVEL;
    return before;
}

void FASTCALL KfReleaseSpinLock(PKSPIN_LOCK l, KIRQL to)
{
    MUST(irql == DISPATCH_LEVEL && *l == 1);
    *l = 0;
    locks_held--;
    irql = to;
}

void NTAPI KeInitializeEvent(PRKEVENT e, EVENT_TYPE type, BOOLEAN state)
{
    e->Header.Type = type;
    e->Header.SignalState = state;
}

LONG NTAPI KeSetEvent(PRKEVENT e, KPRIORITY p, BOOLEAN wait)
{
    (void)p, (void)wait;
    MUST(irql <= DISPATCH_LEVEL);
    return InterlockedExchange(&e->Header.SignalState, 1);
}

/* One thread: who would wait here waits for ever. */
NTSTATUS NTAPI KeWaitForSingleObject(PVOID o, KWAIT_REASON r, KPROCESSOR_MODE m, BOOLEAN a, PLARGE_INTEGER t)
{
    KEVENT *e = o;

    (void)r, (void)m, (void)a, (void)t;
    MUST(irql == PASSIVE_LEVEL && e->Header.SignalState);
    if (e->Header.Type == SynchronizationEvent)
        e->Header.SignalState = 0;
    return STATUS_SUCCESS;
}

void NTAPI KeEnterCriticalRegion(void)
{
    MUST(irql <= APC_LEVEL);
}

void NTAPI KeLeaveCriticalRegion(void)
{
    MUST(irql <= APC_LEVEL);
}

void NTAPI KeInitializeDpc(PRKDPC d, PKDEFERRED_ROUTINE r, PVOID context)
{
    d->DeferredRoutine = r;
    d->DeferredContext = context;
}

BOOLEAN NTAPI KeInsertQueueDpc(PRKDPC d, PVOID a, PVOID b)
{
    (void)a, (void)b;
    queued_dpc = d;
    return !dpc_queued++;
}

void NTAPI KeFlushQueuedDpcs(void)
{
    MUST(irql == PASSIVE_LEVEL);
    if (queued_dpc)
        run_dpc();
}

NTSTATUS NTAPI IoConnectInterrupt(PKINTERRUPT *i, PKSERVICE_ROUTINE r, PVOID context, PKSPIN_LOCK l, ULONG vector,
                                  KIRQL at, KIRQL synchronize, KINTERRUPT_MODE mode, BOOLEAN share, KAFFINITY cpu,
                                  BOOLEAN fpu)
{
    (void)l, (void)synchronize, (void)cpu, (void)fpu;
    MUST(irql == PASSIVE_LEVEL && vector == 0x3b && at == 20 && mode == LevelSensitive && share);
    handler = r;
    handler_context = context;
    connected++;
    *i = (PKINTERRUPT)&connected;
    return STATUS_SUCCESS;
}

void NTAPI IoDisconnectInterrupt(PKINTERRUPT i)
{
    MUST(irql == PASSIVE_LEVEL && i == (PKINTERRUPT)&connected);
    handler = NULL;
    connected--;
}

BOOLEAN NTAPI KeSynchronizeExecution(PKINTERRUPT i, PKSYNCHRONIZE_ROUTINE r, PVOID context)
{
    KIRQL before = irql;
    BOOLEAN answer;

    MUST(i == (PKINTERRUPT)&connected && connected && irql <= 20);
    irql = 20;
    answer = r(context);
    irql = before;
    return answer;
}

/* Memory */

PVOID NTAPI MmMapIoSpace(PHYSICAL_ADDRESS at, SIZE_T n, MEMORY_CACHING_TYPE t)
{
    MUST(irql <= DISPATCH_LEVEL && at.QuadPart == 0xfebf3000 && n == REGISTERS && t == MmNonCached);
    mapped_io++;
    return registers;
}

void NTAPI MmUnmapIoSpace(PVOID at, SIZE_T n)
{
    MUST(at == registers && n == REGISTERS);
    mapped_io--;
}

NTSTATUS NTAPI ZwOpenSection(PHANDLE h, ACCESS_MASK access, POBJECT_ATTRIBUTES a)
{
    MUST(irql == PASSIVE_LEVEL && access == (SECTION_MAP_READ | SECTION_MAP_WRITE) && (a->Attributes & OBJ_KERNEL_HANDLE));
    *h = (HANDLE)8;
    return STATUS_SUCCESS;
}

NTSTATUS NTAPI ZwClose(HANDLE h)
{
    MUST(irql == PASSIVE_LEVEL && h == (HANDLE)8);
    return STATUS_SUCCESS;
}

NTSTATUS NTAPI ZwMapViewOfSection(HANDLE s, HANDLE p, PVOID *base, ULONG_PTR zero, SIZE_T commit, PLARGE_INTEGER offset,
                                  PSIZE_T size, SECTION_INHERIT i, ULONG type, ULONG protect)
{
    (void)p, (void)zero, (void)commit, (void)i, (void)type, (void)protect;
    MUST(irql == PASSIVE_LEVEL && s == (HANDLE)8 && (offset->QuadPart & 0xffff) == 0);
    *base = (PVOID)(ULONG_PTR)(offset->QuadPart == 0xe0000000 ? 0x20000000 : 0x10000000);
    MUST(*size == (offset->QuadPart == 0xe0000000 ? 16u << 20 : 0x4000));
    mapped_views++;
    return STATUS_SUCCESS;
}

NTSTATUS NTAPI ZwUnmapViewOfSection(HANDLE p, PVOID base)
{
    (void)p;
    MUST(irql == PASSIVE_LEVEL && (base == (PVOID)0x20000000 || base == (PVOID)0x10000000));
    mapped_views--;
    sequence++;
    return STATUS_SUCCESS;
}

/* Objects */

PEPROCESS NTAPI IoGetCurrentProcess(void)
{
    return process;
}

LONG_PTR FASTCALL ObfReferenceObject(PVOID o)
{
    MUST(o);
    return ++references;
}

LONG_PTR FASTCALL ObfDereferenceObject(PVOID o)
{
    MUST(o);
    return --references;
}

BOOLEAN NTAPI SeTokenIsAdmin(PACCESS_TOKEN t)
{
    MUST(irql == PASSIVE_LEVEL && t);
    return admin;
}

void NTAPI RtlFreeUnicodeString(PUNICODE_STRING s)
{
    (void)s;
}

/* Devices. The one below completes all. */

static NTSTATUS NTAPI below(DEVICE_OBJECT *d, IRP *irp)
{
    (void)d;
    irp->IoStatus.Status = STATUS_SUCCESS;
    IoCompleteRequest(irp, IO_NO_INCREMENT);
    return STATUS_SUCCESS;
}

static DRIVER_OBJECT below_driver;

NTSTATUS NTAPI IoCreateDevice(PDRIVER_OBJECT dr, ULONG n, PUNICODE_STRING name, DEVICE_TYPE t, ULONG c, BOOLEAN x,
                              PDEVICE_OBJECT *d)
{
    (void)name, (void)t, (void)x;
    MUST(irql == PASSIVE_LEVEL && (c & FILE_DEVICE_SECURE_OPEN));
    fdo = *d = calloc(1, sizeof(DEVICE_OBJECT));
    fdo->DeviceExtension = malloc(n);
    fdo->DriverObject = dr;
    fdo->Flags = DO_DEVICE_INITIALIZING;
    return STATUS_SUCCESS;
}

void NTAPI IoDeleteDevice(PDEVICE_OBJECT d)
{
    MUST(d == fdo && locks_held == 0 && irql == PASSIVE_LEVEL);
    device_deleted++;
}

PDEVICE_OBJECT NTAPI IoAttachDeviceToDeviceStack(PDEVICE_OBJECT s, PDEVICE_OBJECT t)
{
    int i;

    (void)s;
    t->DriverObject = &below_driver;
    for (i = 0; i <= IRP_MJ_MAXIMUM_FUNCTION; i++)
        below_driver.MajorFunction[i] = below;
    return t;
}

void NTAPI IoDetachDevice(PDEVICE_OBJECT t)
{
    MUST(t == &pdo);
}

NTSTATUS NTAPI IoRegisterDeviceInterface(PDEVICE_OBJECT d, CONST GUID *g, PUNICODE_STRING r, PUNICODE_STRING l)
{
    (void)g, (void)r, (void)l;
    MUST(d == &pdo);
    return STATUS_SUCCESS;
}

NTSTATUS NTAPI IoSetDeviceInterfaceState(PUNICODE_STRING l, BOOLEAN on)
{
    (void)l;
    MUST(irql == PASSIVE_LEVEL);
    interface_on = on;
    return STATUS_SUCCESS;
}

/* Remove locks: a count. */

void NTAPI IoInitializeRemoveLockEx(PIO_REMOVE_LOCK l, ULONG tag, ULONG m, ULONG h, ULONG n)
{
    (void)tag, (void)m, (void)h, (void)n;
    RtlZeroMemory(l, sizeof(*l));
}

NTSTATUS NTAPI IoAcquireRemoveLockEx(PIO_REMOVE_LOCK l, PVOID tag, PCSTR f, ULONG line, ULONG n)
{
    (void)tag, (void)f, (void)line, (void)n;
    if (l->Common.Removed)
        return STATUS_DELETE_PENDING;
    l->Common.IoCount++;
    return STATUS_SUCCESS;
}

void NTAPI IoReleaseRemoveLockEx(PIO_REMOVE_LOCK l, PVOID tag, ULONG n)
{
    (void)tag, (void)n;
    MUST(--l->Common.IoCount >= 0);
}

void NTAPI IoReleaseRemoveLockAndWaitEx(PIO_REMOVE_LOCK l, PVOID tag, ULONG n)
{
    (void)tag, (void)n;
    l->Common.Removed = TRUE;
    MUST(irql == PASSIVE_LEVEL && --l->Common.IoCount == 0);
}

ULONG remove_locks(void)
{
    return ((struct device *)fdo->DeviceExtension)->remove.Common.IoCount;
}

/* Requests */

IO_STACK_LOCATION *request(struct request *r, UCHAR major, UCHAR minor)
{
    RtlZeroMemory(r, sizeof(*r));
    r->irp.StackCount = 2;
    r->irp.CurrentLocation = 3;
    r->irp.Tail.Overlay.CurrentStackLocation = r->room + 2;
    r->irp.AssociatedIrp.SystemBuffer = r->u.buffer;
    r->irp.IoStatus.Status = STATUS_NOT_SUPPORTED;
    r->room[1].MajorFunction = major;
    r->room[1].MinorFunction = minor;
    return r->room + 1;
}

NTSTATUS send(struct request *r)
{
    NTSTATUS status = IoCallDriver(fdo, &r->irp);

    MUST((status == STATUS_PENDING) == ((r->room[1].Control & SL_PENDING_RETURNED) != 0));
    MUST(status == STATUS_PENDING || r->done);
    MUST(irql == PASSIVE_LEVEL && locks_held == 0);
    return status == STATUS_PENDING && r->done ? r->irp.IoStatus.Status : status;
}

NTSTATUS FASTCALL IofCallDriver(PDEVICE_OBJECT d, PIRP irp)
{
    IO_STACK_LOCATION *at;

    MUST(--irp->CurrentLocation > 0);
    at = --irp->Tail.Overlay.CurrentStackLocation;
    at->DeviceObject = d;
    return d->DriverObject->MajorFunction[at->MajorFunction](d, irp);
}

NTSTATUS NTAPI PoCallDriver(PDEVICE_OBJECT d, PIRP irp)
{
    return IofCallDriver(d, irp);
}

void FASTCALL IofCompleteRequest(PIRP irp, CCHAR boost)
{
    struct request *r = CONTAINING_RECORD(irp, struct request, irp);

    (void)boost;
    MUST(irql <= DISPATCH_LEVEL && locks_held == 0 && !r->done && irp->IoStatus.Status != STATUS_PENDING);
    MUST(!irp->CancelRoutine);
    while (irp->CurrentLocation <= irp->StackCount) {
        IO_STACK_LOCATION *at = irp->Tail.Overlay.CurrentStackLocation++;

        irp->CurrentLocation++;
        irp->PendingReturned = (at->Control & SL_PENDING_RETURNED) != 0;
        if (at->CompletionRoutine && (at->Control & SL_INVOKE_ON_SUCCESS)) {
            PIO_COMPLETION_ROUTINE routine = at->CompletionRoutine;

            at->CompletionRoutine = NULL;
            if (routine(fdo, irp, at->Context) == STATUS_MORE_PROCESSING_REQUIRED)
                return;
        }
    }
    r->done = TRUE;
    r->when = ++sequence;
}

/* Cancel-safe queues, as they are documented. */

NTSTATUS NTAPI IoCsqInitialize(PIO_CSQ q, PIO_CSQ_INSERT_IRP i, PIO_CSQ_REMOVE_IRP r, PIO_CSQ_PEEK_NEXT_IRP p,
                               PIO_CSQ_ACQUIRE_LOCK a, PIO_CSQ_RELEASE_LOCK l, PIO_CSQ_COMPLETE_CANCELED_IRP c)
{
    q->CsqInsertIrp = i, q->CsqRemoveIrp = r, q->CsqPeekNextIrp = p;
    q->CsqAcquireLock = a, q->CsqReleaseLock = l, q->CsqCompleteCanceledIrp = c;
    return STATUS_SUCCESS;
}

static void NTAPI csq_cancel(DEVICE_OBJECT *d, IRP *irp)
{
    IO_CSQ *q = irp->Tail.Overlay.DriverContext[3];
    KIRQL before;

    (void)d;
    q->CsqAcquireLock(q, &before);
    q->CsqRemoveIrp(q, irp);
    q->CsqReleaseLock(q, before);
    q->CsqCompleteCanceledIrp(q, irp);
}

void NTAPI IoCsqInsertIrp(PIO_CSQ q, PIRP irp, PIO_CSQ_IRP_CONTEXT c)
{
    KIRQL before;

    MUST(!c);
    q->CsqAcquireLock(q, &before);
    irp->Tail.Overlay.DriverContext[3] = q;
    IoMarkIrpPending(irp);
    q->CsqInsertIrp(q, irp);
    irp->CancelRoutine = csq_cancel;
    q->CsqReleaseLock(q, before);
    if (irp->Cancel) {
        irp->CancelRoutine = NULL;
        csq_cancel(NULL, irp);
    }
}

PIRP NTAPI IoCsqRemoveNextIrp(PIO_CSQ q, PVOID context)
{
    KIRQL before;
    IRP *irp;

    q->CsqAcquireLock(q, &before);
    irp = q->CsqPeekNextIrp(q, NULL, context);
    if (irp) {
        irp->CancelRoutine = NULL;
        q->CsqRemoveIrp(q, irp);
    }
    q->CsqReleaseLock(q, before);
    return irp;
}

void cancel(struct request *r)
{
    PDRIVER_CANCEL routine = r->irp.CancelRoutine;

    r->irp.Cancel = TRUE;
    r->irp.CancelRoutine = NULL;
    if (routine)
        routine(fdo, &r->irp);
}

/* Power */

static int power_turns;

void NTAPI PoStartNextPowerIrp(PIRP irp)
{
    MUST(irp && irql <= DISPATCH_LEVEL);
    power_turns++;
}

POWER_STATE NTAPI PoSetPowerState(PDEVICE_OBJECT d, POWER_STATE_TYPE t, POWER_STATE s)
{
    MUST(d == fdo && t == DevicePowerState);
    return s;
}

NTSTATUS NTAPI PoRequestPowerIrp(PDEVICE_OBJECT d, UCHAR minor, POWER_STATE s, PREQUEST_POWER_COMPLETE done, PVOID context,
                                 PIRP *irp)
{
    struct request *r = calloc(1, sizeof(*r));
    IO_STACK_LOCATION *at = request(r, IRP_MJ_POWER, minor);
    int turns = power_turns;

    (void)irp;
    MUST(d == &pdo && irql <= DISPATCH_LEVEL);
    at->Parameters.Power.Type = DevicePowerState;
    at->Parameters.Power.State = s;
    IoCallDriver(fdo, &r->irp);
    MUST(r->done && power_turns == turns + 1);
    done(&pdo, minor, s, context, &r->irp.IoStatus);
    free(r);
    return STATUS_PENDING;
}
