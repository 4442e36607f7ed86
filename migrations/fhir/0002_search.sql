-- What a current resource is found by. Both are computed from the document by the writer and stored
-- in the same row, so that a create stays one insert and superseded versions cost a search nothing.
ALTER TABLE resource
    -- Exact matches: `<Type>:<parameter>=<value>` and its kin, see fhir::search::term.
    ADD COLUMN tokens text[] NOT NULL DEFAULT '{}',
    -- Values by parameter, for prefixes, ranges, negation and order.
    ADD COLUMN terms jsonb NOT NULL DEFAULT '{}';

CREATE INDEX resource_tokens ON resource USING gin (tokens) WHERE deleted IS NULL;
-- Only Tasks come in numbers that make a sort by anything but last_updated worth an index.
CREATE INDEX resource_task_authored_on
    ON resource (((terms -> 'authored-on' -> 0)::bigint), id)
    WHERE type = 25 AND deleted IS NULL;
