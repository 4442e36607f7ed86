-- Parts of an instance that are stored by themselves: one row for each instance of a large
-- multi-instance, with everything inside it. A step reads and writes those that it is about.
create table page (
    instance uuid   not null references instance on delete cascade,
    page     bigint not null,
    state    text   not null,
    primary key (instance, page)
) with (fillfactor = 80);

-- The one receiver, among thousands of an instance, that a message is for.
create index subscription_correlation on subscription (instance, name, correlation_key);
