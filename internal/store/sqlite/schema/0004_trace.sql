-- The conditions that decided and what their parts came to, as codec.EncodeTrace writes them; null
-- for none. Lists do not read it.
ALTER TABLE delivery ADD COLUMN trace BLOB;
