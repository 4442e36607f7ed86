-- Look-ups that every entry of a Bundle needs. What a transaction has written is in no statistics, so
-- PostgreSQL takes a walk through all resources of the type, or through the whole table, for cheap,
-- and a long Bundle would take one for each of its entries. Here only bitmaps of indexes are left to
-- it. Among these it would still take one of an index on all that is current: without statistics it
-- guesses one in two hundred to be. Where nothing but rows costs, the index on what is asked for has
-- the fewest.

-- For each question the first current resources of its type that have all its tokens, which come as
-- the text of an array; NULL: all resources. Of very many, the first of some: who asks for few wants to
-- know whether there are none, one or several.
CREATE FUNCTION ids_with_tokens(p_types smallint[], p_tokens text[], p_limit bigint)
RETURNS TABLE (number bigint, id uuid) LANGUAGE plpgsql STABLE
SET enable_seqscan = off SET enable_indexscan = off SET jit = off
SET seq_page_cost = 0 SET random_page_cost = 0
SET cpu_tuple_cost = 1 SET cpu_index_tuple_cost = 1 AS $$
DECLARE
    v_type smallint;
    v_tokens text[];
BEGIN
    FOR n IN 1 .. cardinality(p_types) LOOP
        v_type := p_types[n];
        v_tokens := p_tokens[n]::text[];
        RETURN QUERY SELECT n::bigint, f.id FROM (
            SELECT r.id, r.last_updated FROM resource r
            WHERE r.deleted IS NULL AND r.tokens @> v_tokens AND r.type + 0 = v_type
            LIMIT CASE WHEN p_limit IS NOT NULL THEN 1000 END) f
            ORDER BY f.last_updated, f.id LIMIT p_limit;
    END LOOP;
END $$;

-- The current resources of a type that hold one of these unique keys.
CREATE FUNCTION holders_of_keys(p_type smallint, p_keys text[])
RETURNS TABLE (id uuid, keys text[]) LANGUAGE plpgsql STABLE
SET enable_seqscan = off SET enable_indexscan = off SET jit = off
SET seq_page_cost = 0 SET random_page_cost = 0
SET cpu_tuple_cost = 1 SET cpu_index_tuple_cost = 1 AS $$
BEGIN
    RETURN QUERY SELECT r.id, r.keys FROM resource r
        WHERE r.keys IS NOT NULL AND r.deleted IS NULL AND r.keys && p_keys AND r.type + 0 = p_type;
END $$;
