-- The conditions that decided and what their parts came to, as codec.EncodeTrace writes them; null
-- for none.
ALTER TABLE delivery ADD COLUMN trace bytea;
