-- Reads by id, planned once for each connection, and by the index whatever PostgreSQL knows of the table;
-- see docs/adr/0043.

-- The current versions of these ids, also of deleted resources; without the document where it is the
-- version that the reader has. Always with the generation of the directory, if need be in a line of its own.
CREATE FUNCTION heads_of(p_ids uuid[], p_versions bigint[], p_times timestamptz[])
RETURNS TABLE (
    generation bigint, id uuid, type smallint, version bigint, last_updated timestamptz,
    deleted timestamptz, content uuid, content_size bigint, document text
) LANGUAGE plpgsql STABLE
SET plan_cache_mode = force_generic_plan
SET enable_seqscan = off SET enable_bitmapscan = off SET jit = off AS $$
BEGIN
    RETURN QUERY SELECT d.generation, r.id, r.type, r.version, r.last_updated, r.deleted, r.content,
            r.content_size, CASE WHEN r.version IS DISTINCT FROM a.version
                OR r.last_updated IS DISTINCT FROM a.at THEN r.document END
        FROM directory d LEFT JOIN (unnest(p_ids, p_versions, p_times) a (id, version, at)
            JOIN resource r ON r.id = a.id) ON true;
END $$;
