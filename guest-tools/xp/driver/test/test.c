/* The driver's rules, against the kernel of kernel.c. Exit code 0: all hold. */
#include <stdio.h>

#include "kernel.h"

static struct request r, waiting, lent[HEIRBUS_LENT_COUNT + 1], power_down;
static FILE_OBJECT file, other;
static ACCESS_STATE access;
static IO_SECURITY_CONTEXT security = { .AccessState = &access };

static struct {
    CM_RESOURCE_LIST list;
    CM_PARTIAL_RESOURCE_DESCRIPTOR more[2];
} resources;

static void make_resources(void)
{
    CM_PARTIAL_RESOURCE_DESCRIPTOR *p = resources.list.List[0].PartialResourceList.PartialDescriptors;

    resources.list.Count = 1;
    resources.list.List[0].PartialResourceList.Count = 3;
    p[0].Type = CmResourceTypeMemory;
    p[0].u.Memory.Start.QuadPart = 0xfebf3000;
    p[0].u.Memory.Length = 4096;
    p[1].Type = CmResourceTypeMemory;
    p[1].u.Memory.Start.QuadPart = 0xe0000000;
    p[1].u.Memory.Length = 16 << 20;
    p[2].Type = CmResourceTypeInterrupt;
    p[2].ShareDisposition = CmResourceShareShared;
    p[2].u.Interrupt.Level = 20;
    p[2].u.Interrupt.Vector = 0x3b;
    registers[REG_ID] = ID_HBUS;
    registers[REG_VERSION] = 0x10000;
    registers[REG_WINDOW] = 16 << 20;
    registers[REG_CONTROL] = 3;
    access.SubjectSecurityContext.PrimaryToken = &access;
}

static NTSTATUS pnp_of(UCHAR minor)
{
    IO_STACK_LOCATION *at = request(&r, IRP_MJ_PNP, minor);

    if (minor == IRP_MN_START_DEVICE)
        at->Parameters.StartDevice.AllocatedResourcesTranslated = &resources.list;
    return send(&r);
}

static NTSTATUS file_of(UCHAR major, FILE_OBJECT *f)
{
    IO_STACK_LOCATION *at = request(&r, major, 0);

    at->FileObject = f;
    if (major == IRP_MJ_CREATE)
        at->Parameters.Create.SecurityContext = &security;
    return send(&r);
}

static NTSTATUS ask(struct request *q, ULONG code, ULONG id, ULONG in, ULONG out)
{
    IO_STACK_LOCATION *at = request(q, IRP_MJ_DEVICE_CONTROL, 0);

    *(ULONG *)q->u.buffer = id;
    at->FileObject = &file;
    at->Parameters.DeviceIoControl.IoControlCode = code;
    at->Parameters.DeviceIoControl.InputBufferLength = in;
    at->Parameters.DeviceIoControl.OutputBufferLength = out;
    return send(q);
}

/* Lends `bytes` from 0x100 in a page on; its pages are every other one. */
static NTSTATUS lend(struct request *q, ULONG id, ULONG bytes, ULONG first_page)
{
    IO_STACK_LOCATION *at = request(q, IRP_MJ_DEVICE_CONTROL, 0);
    ULONG i;

    *(ULONG *)q->u.buffer = id;
    at->FileObject = &file;
    at->Parameters.DeviceIoControl.IoControlCode = HEIRBUS_LEND;
    at->Parameters.DeviceIoControl.InputBufferLength = 4;
    MmInitializeMdl(&q->memory.mdl, (PVOID)0x400100, bytes);
    for (i = 0; i < 512; i++)
        MmGetMdlPfnArray(&q->memory.mdl)[i] = first_page + 2 * i;
    q->irp.MdlAddress = &q->memory.mdl;
    return send(q);
}

static NTSTATUS wait_for(struct request *q)
{
    return ask(q, HEIRBUS_WAIT, 0, 0, sizeof(struct heirbus_wait));
}

static struct heirbus_wait *waited(struct request *q)
{
    MUST(q->done && q->irp.IoStatus.Status == STATUS_SUCCESS);
    MUST(q->irp.IoStatus.Information == sizeof(struct heirbus_wait));
    return (struct heirbus_wait *)q->u.buffer;
}

static NTSTATUS power_of(struct request *q, POWER_STATE_TYPE type, ULONG state)
{
    IO_STACK_LOCATION *at = request(q, IRP_MJ_POWER, IRP_MN_SET_POWER);

    at->Parameters.Power.Type = type;
    at->Parameters.Power.State.SystemState = state;
    return send(q);
}

static void starts_only_what_it_knows(void)
{
    ULONG *version = &registers[REG_VERSION];

    MUST(DriverEntry(&driver, NULL) == STATUS_SUCCESS);
    MUST(driver.DriverExtension->AddDevice(&driver, &pdo) == STATUS_SUCCESS);
    MUST(!(fdo->Flags & DO_DEVICE_INITIALIZING) && (fdo->Flags & DO_POWER_PAGABLE));
    resources.list.List[0].PartialResourceList.Count = 2;
    MUST(pnp_of(IRP_MN_START_DEVICE) == STATUS_DEVICE_CONFIGURATION_ERROR && !mapped_io && !connected);
    resources.list.List[0].PartialResourceList.Count = 3;
    *version = 0x20000;
    MUST(pnp_of(IRP_MN_START_DEVICE) == STATUS_DEVICE_CONFIGURATION_ERROR && !mapped_io && !connected);
    MUST(!interface_on && file_of(IRP_MJ_CREATE, &file) == STATUS_DEVICE_NOT_READY);
    *version = 0x10003;
    MUST(pnp_of(IRP_MN_START_DEVICE) == STATUS_SUCCESS && mapped_io == 1 && connected && interface_on);
    MUST(registers[REG_CONTROL] == 0);
}

static void one_administrator_opens_it(void)
{
    UNICODE_STRING name = { 4, 4, L"\\x" };

    admin = FALSE;
    MUST(file_of(IRP_MJ_CREATE, &file) == STATUS_ACCESS_DENIED);
    admin = TRUE;
    file.FileName = name;
    MUST(file_of(IRP_MJ_CREATE, &file) == STATUS_OBJECT_NAME_NOT_FOUND);
    file.FileName.Length = 0;
    MUST(file_of(IRP_MJ_CREATE, &file) == STATUS_SUCCESS && references == 1);
    MUST(file_of(IRP_MJ_CREATE, &other) == STATUS_SHARING_VIOLATION && references == 1);
}

static void maps_into_the_opener(void)
{
    struct heirbus_map *m = (struct heirbus_map *)r.u.buffer;
    int round;

    MUST(ask(&r, HEIRBUS_MAP, 0, 0, sizeof(*m) - 1) == STATUS_BUFFER_TOO_SMALL);
    process = &other;
    MUST(ask(&r, HEIRBUS_MAP, 0, 0, sizeof(*m)) == STATUS_ACCESS_DENIED);
    process = &admin;
    for (round = 0; round < 2; round++) {
        MUST(ask(&r, HEIRBUS_MAP, 0, 0, sizeof(*m)) == STATUS_SUCCESS && mapped_views == 2);
        MUST(m->version == HEIRBUS_VERSION && m->registers == 0x10003000 && m->window == 0x20000000);
        MUST(m->registers_bytes == 4096 && m->window_bytes == 16 << 20);
    }
    MUST(ask(&r, 0x84840000, 0, 0, 0) == STATUS_INVALID_DEVICE_REQUEST);
}

static void an_interrupt_ends_the_wait(void)
{
    MUST(wait_for(&waiting) == STATUS_PENDING);
    MUST(wait_for(&r) == STATUS_DEVICE_BUSY);
    MUST(!interrupt_now() && !dpc_queued);
    registers[REG_TAKE0] = 5;
    registers[REG_TAKE1] = 0x80000000;
    MUST(interrupt_now() && !interrupt_now() && !waiting.done);
    run_dpc();
    MUST(waited(&waiting)->pending0 == 5 && waited(&waiting)->pending1 == 0x80000000 && !waited(&waiting)->what);
    /* Nobody waits: kept, and added up. */
    registers[REG_TAKE0] = 1;
    MUST(interrupt_now());
    run_dpc();
    registers[REG_TAKE0] = 2;
    MUST(interrupt_now());
    run_dpc();
    MUST(wait_for(&waiting) == STATUS_SUCCESS && waited(&waiting)->pending0 == 3);
    /* Cancelled: the next one may wait. */
    MUST(wait_for(&waiting) == STATUS_PENDING);
    cancel(&waiting);
    MUST(waiting.done && waiting.irp.IoStatus.Status == STATUS_CANCELLED);
}

static void lends_within_its_bounds(void)
{
    struct heirbus_pages *p = (struct heirbus_pages *)r.u.buffer;
    ULONG i;

    MUST(lend(&lent[0], 7, 0x2000, 0x1234) == STATUS_PENDING);
    MUST(ask(&r, HEIRBUS_PAGES, 7, 4, 12 + 8) == STATUS_BUFFER_TOO_SMALL);
    MUST(ask(&r, HEIRBUS_PAGES, 8, 4, 256) == STATUS_NOT_FOUND);
    MUST(ask(&r, HEIRBUS_PAGES, 7, 3, 256) == STATUS_INVALID_PARAMETER);
    MUST(ask(&r, HEIRBUS_PAGES, 7, 4, 256) == STATUS_SUCCESS && r.irp.IoStatus.Information == 12 + 12);
    MUST(p->bytes == 0x2000 && p->offset == 0x100 && p->count == 3);
    MUST(p->page[0] == 0x1234000 && p->page[1] == 0x1236000 && p->page[2] == 0x1238000);
    MUST(ask(&r, HEIRBUS_RETURN, 8, 4, 0) == STATUS_NOT_FOUND && !lent[0].done);
    MUST(ask(&r, HEIRBUS_RETURN, 7, 4, 0) == STATUS_SUCCESS && lent[0].done);
    MUST(lent[0].irp.IoStatus.Status == STATUS_SUCCESS);
    MUST(lend(&lent[0], 1, HEIRBUS_LEND_MOST + 1, 1) == STATUS_INVALID_PARAMETER);
    MUST(lend(&lent[0], 1, 0x1000, 0xfffff) == STATUS_NOT_SUPPORTED);
    for (i = 0; i < 16; i++)
        MUST(lend(&lent[i], i, HEIRBUS_LEND_MOST, 1) == STATUS_PENDING);
    MUST(lend(&lent[16], 16, 1, 1) == STATUS_QUOTA_EXCEEDED);
    for (i = 0; i < 16; i++)
        MUST(ask(&r, HEIRBUS_RETURN, i, 4, 0) == STATUS_SUCCESS);
    for (i = 0; i < HEIRBUS_LENT_COUNT; i++)
        MUST(lend(&lent[i], i, 1, 1) == STATUS_PENDING);
    MUST(lend(&lent[i], i, 1, 1) == STATUS_QUOTA_EXCEEDED);
    for (i = 1; i < HEIRBUS_LENT_COUNT; i++)
        MUST(ask(&r, HEIRBUS_RETURN, i, 4, 0) == STATUS_SUCCESS);
    /* Cancelled: the bus stops before the memory goes back. */
    registers[REG_CONTROL] = 3;
    cancel(&lent[0]);
    MUST(lent[0].done && lent[0].irp.IoStatus.Status == STATUS_CANCELLED);
    MUST(registers[REG_CONTROL] == 0 && control_cleared < lent[0].when);
}

static void closed_the_bus_stops_first(void)
{
    MUST(wait_for(&waiting) == STATUS_PENDING && lend(&lent[0], 1, 100, 9) == STATUS_PENDING);
    registers[REG_CONTROL] = 3;
    MUST(file_of(IRP_MJ_CLEANUP, &file) == STATUS_SUCCESS && mapped_views == 0);
    MUST(waiting.done && lent[0].done && registers[REG_CONTROL] == 0 && control_cleared < lent[0].when);
    /* A request that was on its way meanwhile ends, too. */
    MUST(wait_for(&waiting) == STATUS_CANCELLED && lend(&lent[0], 1, 100, 9) == STATUS_CANCELLED);
    MUST(ask(&r, HEIRBUS_MAP, 0, 0, sizeof(struct heirbus_map)) == STATUS_DEVICE_NOT_READY && !mapped_views);
    MUST(file_of(IRP_MJ_CREATE, &other) == STATUS_SHARING_VIOLATION);
    MUST(file_of(IRP_MJ_CLOSE, &file) == STATUS_SUCCESS && references == 0);
    /* Again, and bits of the one before are gone. */
    registers[REG_TAKE0] = 8;
    MUST(interrupt_now());
    run_dpc();
    MUST(file_of(IRP_MJ_CREATE, &file) == STATUS_SUCCESS && wait_for(&waiting) == STATUS_PENDING);
    cancel(&waiting);
}

static void open_it_is_neither_stopped_nor_removed(void)
{
    MUST(pnp_of(IRP_MN_QUERY_STOP_DEVICE) == STATUS_DEVICE_BUSY);
    MUST(pnp_of(IRP_MN_QUERY_REMOVE_DEVICE) == STATUS_DEVICE_BUSY);
    MUST(file_of(IRP_MJ_CLEANUP, &file) == STATUS_SUCCESS && file_of(IRP_MJ_CLOSE, &file) == STATUS_SUCCESS);
    MUST(pnp_of(IRP_MN_QUERY_REMOVE_DEVICE) == STATUS_SUCCESS);
    MUST(file_of(IRP_MJ_CREATE, &file) == STATUS_DEVICE_NOT_READY);
    MUST(pnp_of(IRP_MN_CANCEL_REMOVE_DEVICE) == STATUS_SUCCESS);
    MUST(pnp_of(IRP_MN_QUERY_STOP_DEVICE) == STATUS_SUCCESS && pnp_of(IRP_MN_STOP_DEVICE) == STATUS_SUCCESS);
    MUST(!connected && !mapped_io && file_of(IRP_MJ_CREATE, &file) == STATUS_DEVICE_NOT_READY);
    MUST(pnp_of(IRP_MN_START_DEVICE) == STATUS_SUCCESS && connected && mapped_io == 1);
    MUST(file_of(IRP_MJ_CREATE, &file) == STATUS_SUCCESS);
}

static void asleep_it_touches_nothing(void)
{
    MUST(wait_for(&waiting) == STATUS_PENDING);
    registers[REG_CONTROL] = 3;
    MUST(power_of(&power_down, SystemPowerState, PowerSystemSleeping3) == STATUS_SUCCESS && power_down.done);
    MUST(registers[REG_CONTROL] == 0 && !waiting.done);
    registers_there = FALSE;
    MUST(!interrupt_now());
    MUST(lend(&lent[0], 3, 10, 10) == STATUS_PENDING);
    cancel(&lent[0]);
    MUST(lent[0].done);
    registers_there = TRUE;
    MUST(power_of(&power_down, SystemPowerState, PowerSystemWorking) == STATUS_SUCCESS && power_down.done);
    MUST(waited(&waiting)->what == HEIRBUS_STOPPED);
    registers[REG_TAKE1] = 1;
    MUST(interrupt_now());
    run_dpc();
    MUST(wait_for(&waiting) == STATUS_SUCCESS && waited(&waiting)->pending1 == 1);
}

static void gone_it_touches_nothing(void)
{
    MUST(wait_for(&waiting) == STATUS_PENDING && lend(&lent[0], 3, 10, 10) == STATUS_PENDING);
    registers_there = FALSE;
    MUST(pnp_of(IRP_MN_SURPRISE_REMOVAL) == STATUS_SUCCESS && !connected && !mapped_io && !interface_on);
    MUST(waiting.done && waiting.irp.IoStatus.Status == STATUS_DELETE_PENDING && lent[0].done);
    MUST(wait_for(&waiting) == STATUS_DEVICE_NOT_READY);
    MUST(power_of(&power_down, SystemPowerState, PowerSystemShutdown) == STATUS_SUCCESS);
    MUST(file_of(IRP_MJ_CLEANUP, &file) == STATUS_SUCCESS && file_of(IRP_MJ_CLOSE, &file) == STATUS_SUCCESS);
    MUST(references == 0 && remove_locks() == 0);
    MUST(pnp_of(IRP_MN_REMOVE_DEVICE) == STATUS_SUCCESS && device_deleted == 1);
}

int main(void)
{
    static DRIVER_EXTENSION extension;

    driver.DriverExtension = &extension;
    make_resources();
    starts_only_what_it_knows();
    one_administrator_opens_it();
    maps_into_the_opener();
    an_interrupt_ends_the_wait();
    lends_within_its_bounds();
    closed_the_bus_stops_first();
    open_it_is_neither_stopped_nor_removed();
    asleep_it_touches_nothing();
    gone_it_touches_nothing();
    printf("the driver's rules hold\n");
    return 0;
}
