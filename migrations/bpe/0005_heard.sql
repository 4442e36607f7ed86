-- Messages that were taken in lately, by a digest of what they say: one that comes again in another
-- Task is not taken in twice.
create table heard (
    digest bytea       primary key,
    -- The Task that was taken in.
    task   uuid        not null,
    at     timestamptz not null default clock_timestamp()
);
