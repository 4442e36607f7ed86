-- The schema itself is made by the runner, which needs a place for its bookkeeping first.
COMMENT ON SCHEMA bpe IS 'BPE role of dsf: definitions, instances, jobs, inbox, outbox';
