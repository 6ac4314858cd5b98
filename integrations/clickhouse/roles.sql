-- An agent may write, and neither read nor remove: who steals its password learns
-- nothing and destroys nothing.
CREATE ROLE IF NOT EXISTS {db}_agent;

GRANT INSERT ON {db}.whose_in TO {db}_agent;

-- Who asks may read the tables of the sessions.
CREATE ROLE IF NOT EXISTS {db}_reader;

GRANT SELECT ON {db}.* TO {db}_reader;
