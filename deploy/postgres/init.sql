-- Runs once, when the volume is empty. The workers own one database, in which they
-- make their tables, and have no right anywhere else.
CREATE ROLE "session-worker" LOGIN;
CREATE DATABASE pairgate OWNER "session-worker";
REVOKE ALL ON DATABASE pairgate, postgres, template1 FROM PUBLIC;
