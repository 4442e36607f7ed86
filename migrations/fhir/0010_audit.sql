-- The audit trail: what was written, refused and read, by whom. See docs/adr.

-- One row for what a node gathered in a moment: records, a JSON object a line. `digest` is that of
-- the row before and of this row's content, so no row can be changed or taken out unnoticed.
CREATE TABLE audit_block (
    number bigint PRIMARY KEY,
    -- Chosen by the node: a block that is sent twice is stored once.
    id uuid NOT NULL UNIQUE,
    at timestamptz NOT NULL,
    -- The time of the oldest record.
    since timestamptz NOT NULL,
    node text NOT NULL,
    count integer NOT NULL,
    records text NOT NULL,
    previous bytea NOT NULL,
    digest bytea NOT NULL
);
CREATE INDEX audit_block_by_time ON audit_block (at);

-- The end of the chain. Its lock puts the blocks of all nodes into one chain.
CREATE TABLE audit_head (
    single boolean PRIMARY KEY DEFAULT true CHECK (single),
    number bigint NOT NULL,
    digest bytea NOT NULL
);
INSERT INTO audit_head (number, digest) VALUES (0, sha256('dsf audit'));

-- Appends a block; answers its number.
CREATE FUNCTION audit_append(
    p_id uuid, p_at timestamptz, p_since timestamptz, p_node text, p_count integer, p_records text
) RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
    v_head audit_head;
    v_number bigint;
    v_digest bytea;
BEGIN
    SELECT * INTO STRICT v_head FROM audit_head FOR UPDATE;
    SELECT number INTO v_number FROM audit_block WHERE id = p_id;
    IF FOUND THEN
        RETURN v_number;
    END IF;
    v_number := v_head.number + 1;
    v_digest := sha256(convert_to(concat_ws(E'\n',
        encode(v_head.digest, 'hex'), v_number, (extract(epoch FROM p_at) * 1000)::bigint,
        p_node, p_count, p_records), 'UTF8'));
    INSERT INTO audit_block (number, id, at, since, node, count, records, previous, digest)
        VALUES (v_number, p_id, p_at, p_since, p_node, p_count, p_records, v_head.digest, v_digest);
    UPDATE audit_head SET number = v_number, digest = v_digest;
    RETURN v_number;
END $$;

-- Blocks are never changed, and go only when their time is over (`dsf.audit_prune`).
CREATE FUNCTION audit_keep() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'DELETE'
        AND OLD.number <= NULLIF(current_setting('dsf.audit_prune', true), '')::bigint THEN
        RETURN OLD;
    END IF;
    RAISE EXCEPTION 'the audit trail is append-only';
END $$;
CREATE TRIGGER audit_keep BEFORE UPDATE OR DELETE ON audit_block
    FOR EACH ROW EXECUTE FUNCTION audit_keep();
CREATE FUNCTION audit_keep_all() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'the audit trail is append-only';
END $$;
CREATE TRIGGER audit_keep_all BEFORE TRUNCATE ON audit_block
    FOR EACH STATEMENT EXECUTE FUNCTION audit_keep_all();
