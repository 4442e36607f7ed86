-- Each look-up in a GIN index also reads what waits to be put in its place: of the keys nothing
-- waits, of the tokens little. With 4 MB, a Bundle of 300 conditional updates spent half of its time
-- on what waits.
ALTER INDEX resource_keys SET (fastupdate = off);
ALTER INDEX resource_tokens SET (gin_pending_list_limit = 256);
