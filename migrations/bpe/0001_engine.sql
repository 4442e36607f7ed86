-- The process engine's tables. A statement that changes an instance is guarded by its revision
-- and its lease epoch: a node that lost its lease changes nothing (docs/adr, "Durable steps").

create table definition (
    id          uuid primary key,
    key         text        not null,
    version_tag text        not null,
    plugin      text        not null,
    source      text        not null,
    sha256      bytea       not null,
    -- A suspended definition starts nothing new; what runs goes on.
    suspended   boolean     not null default false,
    deployed    timestamptz not null default clock_timestamp(),
    unique (key, version_tag, sha256)
);

create table instance (
    id              uuid primary key,
    definition      uuid        not null references definition,
    business_key    text        not null,
    alternative_key text,
    state           text        not null,
    rev             bigint      not null,
    lease_epoch     bigint      not null,
    lease_until     timestamptz,
    started         timestamptz not null default now()
) with (fillfactor = 80);
create index instance_business_key on instance (business_key);
create index instance_alternative_key on instance (alternative_key)
    where alternative_key is not null;
create index instance_definition on instance (definition);

-- Receivers that wait. The correlation key stands here so that a look-up opens no state.
create table subscription (
    instance        uuid   not null references instance on delete cascade,
    id              bigint not null,
    kind            text   not null,
    name            text   not null,
    activity        text   not null,
    correlation_key text,
    primary key (instance, id)
);

-- Everything that becomes due: timers, asynchronous continuations, retries.
create table job (
    instance uuid        not null references instance on delete cascade,
    id       bigint      not null,
    kind     text        not null,
    activity text        not null,
    due      timestamptz not null,
    retries  integer     not null,
    incident text,
    primary key (instance, id)
);
create index job_due on job (due) where retries > 0;

-- Tasks as they came: stored once, claimed on the server, handed to an instance, answered.
create table inbox (
    task            uuid        primary key,
    version         bigint      not null,
    status          text        not null check (status in
        ('received', 'claiming', 'claimed', 'delivered', 'answered')),
    -- The Task as we know it; outputs that code adds are kept here until it is answered.
    document        text        not null,
    business_key    text        not null,
    instance        uuid,
    -- The activity instance in which it was received; null for the Task that started it.
    scope           bigint,
    starts          boolean     not null default false,
    due             timestamptz not null default clock_timestamp(),
    attempts        integer     not null default 0,
    -- Set while nobody waits for the message yet.
    held_until      timestamptz,
    lease_epoch     bigint      not null default 0,
    received        timestamptz not null default clock_timestamp()
);
create index inbox_due on inbox (due) where status in ('received', 'claiming', 'claimed');
create index inbox_order on inbox (business_key, received)
    where status in ('received', 'claiming', 'claimed');
create index inbox_instance on inbox (instance) where instance is not null;

-- What must reach a FHIR server: messages to peers, answers to our own Tasks. The id is the
-- Idempotency-Key of the request.
create table outbox (
    id          uuid primary key,
    kind        text        not null check (kind in ('message', 'answer', 'signal', 'signal-delivery')),
    instance    uuid,
    -- The activity instance that waits for the outcome of a message, or the subscription that
    -- a signal is for.
    frame       bigint,
    task        uuid,
    document    text        not null,
    -- Of messages: the base address of the recipient's server, and the call that sends.
    address     text,
    call        text,
    due         timestamptz not null default clock_timestamp(),
    deadline    timestamptz not null,
    attempts    integer     not null default 0,
    lease_epoch bigint      not null default 0,
    error       text
);
create index outbox_due on outbox (due);
create index outbox_instance on outbox (instance) where instance is not null;

-- Append-only: what happened, in order, also of instances that have ended.
create table history (
    instance uuid        not null,
    rev      bigint      not null,
    seq      integer     not null,
    at       timestamptz not null,
    event    text        not null,
    activity text        not null,
    detail   jsonb,
    primary key (instance, rev, seq)
);
create index history_at on history (at);

create table history_instance (
    id           uuid primary key,
    definition   uuid        not null,
    business_key text        not null,
    started      timestamptz not null,
    ended        timestamptz,
    outcome      text
);
create index history_instance_ended on history_instance (ended);

-- What a plugin put on the own FHIR server, and as what, to know what a next version changes.
create table plugin_resource (
    process       text  not null,
    resource_type text  not null,
    condition     text  not null,
    digest        bytea not null,
    primary key (process, resource_type, condition)
);

create table process_state (
    process text primary key,
    state   text not null check (state in ('active', 'draft', 'retired', 'excluded'))
);
