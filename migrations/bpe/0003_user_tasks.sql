-- Tasks for people: from the wish for a form (a QuestionnaireResponse on the own FHIR server) to the
-- note on it that its answer has been taken in.
create table user_task (
    -- The user-task-id of the form, and the Idempotency-Key of its creation.
    id           uuid primary key,
    instance     uuid        not null,
    -- The number of the wait within the instance, and the activity instance that waits.
    task         bigint      not null,
    frame        bigint      not null,
    business_key text        not null,
    -- The canonical of the Questionnaire.
    form         text        not null,
    -- The call of the listener that has a say in the form.
    listener     text,
    status       text        not null default 'wanted' check (status in
        ('wanted', 'open', 'answered', 'amending', 'withdrawn')),
    -- The form as code has changed it, before it is created.
    document     text,
    -- Id of the form on the server.
    response     uuid,
    -- The completed form.
    answer       text,
    due          timestamptz not null default clock_timestamp(),
    deadline     timestamptz not null,
    attempts     integer     not null default 0,
    lease_epoch  bigint      not null default 0,
    error        text,
    created      timestamptz not null default clock_timestamp(),
    unique (instance, task)
);
create index user_task_due on user_task (due) where status <> 'open';

-- Outputs of a Task that people see while its process still runs.
alter table outbox drop constraint outbox_kind_check;
alter table outbox add constraint outbox_kind_check
    check (kind in ('message', 'answer', 'update', 'signal', 'signal-delivery', 'signal-start'));
