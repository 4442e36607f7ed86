-- Instances that call instances, stand still, and are looked after by people.

-- The order in which things came into being, over all tables: of what is due at the same time,
-- the older goes first.
create sequence creation;

alter table definition
    -- Counts the models of a key; the newest one starts when nobody names a version.
    add column version integer not null default 1,
    -- What was deployed together.
    add column deployment bigint not null default nextval('creation');

alter table instance
    alter column business_key drop not null,
    -- The call activity that waits for the end of this instance.
    add column caller uuid,
    add column caller_frame bigint,
    add column suspended boolean not null default false;
create index instance_caller on instance (caller) where caller is not null;

alter table subscription add column seq bigint not null default nextval('creation');
alter table job add column seq bigint not null default nextval('creation');
create index job_incident on job (instance) where incident is not null;

alter table history_instance
    alter column business_key drop not null,
    add column caller uuid,
    add column caller_frame bigint,
    add column seq bigint not null default nextval('creation');
create index history_instance_seq on history_instance (seq);

-- Large values of variables: a step that does not touch them does not write them again.
create table blob (
    instance uuid not null references instance on delete cascade,
    digest   text not null,
    content  text not null,
    primary key (instance, digest)
);

-- Timers of start events: they belong to the newest model of their key.
create table start_timer (
    id         uuid        primary key,
    definition uuid        not null references definition on delete cascade,
    activity   text        not null,
    due        timestamptz not null,
    -- What comes after, if anything does.
    schedule   text        not null,
    seq        bigint      not null default nextval('creation')
);
create index start_timer_due on start_timer (due);

-- Signals also start instances.
alter table outbox drop constraint outbox_kind_check;
alter table outbox add constraint outbox_kind_check
    check (kind in ('message', 'answer', 'signal', 'signal-delivery', 'signal-start'));

-- What people want done to running instances by hand: a queue while nobody has done it, the audit
-- afterwards.
create table control (
    id       uuid        primary key,
    asked    timestamptz not null default clock_timestamp(),
    actor    text        not null,
    instance uuid        not null,
    action   jsonb       not null,
    due      timestamptz not null default clock_timestamp(),
    done     timestamptz,
    outcome  text
);
create index control_due on control (due) where done is null;
create index control_instance on control (instance);
